"""Before a study continues: damaged files of its trials are repaired from the others, with a message."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from raytune_planes.errors import UserError
from raytune_planes.fold_metrics import course
from raytune_planes.invocation import command, quoted
from raytune_planes.records import EpochRecord, TrialRecord, best_trial
from raytune_planes.space import Given, Space, suggest
from raytune_planes.tracking import files, reading
from raytune_planes.tracking.keeping import is_freed
from raytune_planes.tracking.origin import origin_of
from raytune_planes.tracking.validation import read_validation
from raytune_planes.training.checkpoint import load

Say = Callable[[str], None]


def mend(folder: Path, space: Space, say: Say) -> tuple[TrialRecord, ...]:
    """The trials of the study in ``folder``, mended on disk where that is possible.

    A trial's start is read from its settings where ``trial.json`` is lost, its epochs from ``last.pt``. A trial that
    ended and whose epochs are lost is trained again, as is one that continues and has lost its best weights.
    """
    for trial in sorted(p for p in (folder / files.TRIALS).glob("*") if p.is_dir()):
        try:
            record, faults = reading.read_trial(trial)
        except (OSError, *reading.MALFORMED):
            if not _restore_start(trial, folder, space, say):
                continue
            record, faults = reading.read_trial(trial)
        if record.end.is_open:
            _check_last(trial, record, say)
        if faults or record.end.is_open:
            _restore_epochs(trial, bool(faults), say)
            _tell_or_repeat(trial, say)
        if record.end.is_open and (trial / files.LAST).is_file() and not is_freed(trial):
            _check_best(trial, say)
    trials, left_out = reading.read_trials(folder)
    for text in left_out:
        say(text)
    best = best_trial(trials, space.goal)
    for record in trials:
        place = files.trial_folder(folder, record.number, record.trial_id)
        if not record.end.is_open and (fault := _fault(place, record, space, whole=record is best)):
            say(
                f"trial {record.number} has lost its weights ({fault}); its figures stay. To train it again: "
                + command(f"train --config {quoted(place / files.CONFIG)} --out FOLDER")
            )
    return trials


def _restore_start(trial: Path, study: Path, space: Space, say: Say) -> bool:
    """Write ``trial.json`` from the settings beside it and the name of the folder."""
    number, _, trial_id = trial.name.partition("-")
    try:
        config = yaml.safe_load((trial / files.CONFIG).read_text(encoding="utf-8"))
        named = {"trial_id": trial_id, "number": int(number), "started_ms": _started_ms(trial)}
        values = {"drawn": suggest(space, Given(config)), "config": config, "tags": {}}
    except (OSError, yaml.YAMLError, *reading.MALFORMED):
        return False
    known = origin_of(study)
    files.save_json(trial / files.TRIAL, {**named, **values, **({"study": dataclasses.asdict(known)} if known else {})})
    say(f"{trial / files.TRIAL} was missing or damaged and is recreated from {files.CONFIG}")
    return True


def _started_ms(trial: Path) -> int:
    epochs, _ = reading.read_epochs(trial / files.EPOCHS)
    first = min((e.time_ms - int(1000 * e.seconds) for e in epochs), default=0)
    return first or int((trial / files.CONFIG).stat().st_mtime * 1000)


def _restore_epochs(trial: Path, faulty: bool, say: Say) -> None:
    """Take from ``last.pt`` what it knows of the epochs and ``epochs.jsonl`` does not, or has otherwise."""
    path, restored = trial / files.EPOCHS, _restored_epochs(trial)
    if not restored:
        return
    here = {e.epoch: e for e in reading.read_epochs(path)[0]}
    wrong = [e.epoch for e in restored if e.epoch in here and not _same(e, here[e.epoch])]
    missing = [e.epoch for e in restored if e.epoch not in here]
    later = [e for number, e in here.items() if number > restored[-1].epoch and not wrong]
    if faulty or wrong or missing:
        if wrong:
            path.replace(path.with_name(f"{path.name}.before"))
        files.write_whole(path, "".join(map(reading.epoch_to_line, [*restored, *later])))
    if wrong or missing:
        which = ", ".join(map(str, sorted([*wrong, *missing])))
        say(f"{path}: epoch {which} was {'wrong' if wrong else 'missing'} and is restored from {files.LAST}")


def _restored_epochs(trial: Path) -> list[EpochRecord]:
    try:
        return [reading.epoch_from_line(line.encode()) for line in load(trial / files.LAST).get("told", ())]
    except (UserError, *reading.MALFORMED):
        return []


def _tell_or_repeat(trial: Path, say: Say) -> None:
    """Tell what could not be mended; a trial that ended and lacks epochs begins again under its number."""
    record, left = reading.read_trial(trial)
    for text in left:
        say(text)
    if record.end.is_open or not left:
        return
    say(f"trial {record.number} lacks epochs that no other file holds: it is trained again")
    (trial / files.END).unlink()
    (trial / files.LAST).unlink(missing_ok=True)
    if (trial / files.EPOCHS).exists():
        (trial / files.EPOCHS).replace(trial / f"{files.EPOCHS}.before")


def _check_last(trial: Path, record: TrialRecord, say: Say) -> None:
    """Let a trial that continues start from its beginning where its checkpoint is of another one."""
    if record.config.get("plan"):
        return  # the checkpoint has the settings of its stage
    try:
        theirs = load(trial / files.LAST).get("config", {})
    except UserError:
        return  # there is none yet; or the trial reports it, and starts from its beginning
    other = next((k for k, v in record.drawn.items() if k in theirs and theirs[k] != v), "")
    if other:
        _begin_again(trial, record, f"{files.LAST} is of a trial with another {other}", say)


def _check_best(trial: Path, say: Say) -> None:
    """Let a trial that continues start from its beginning where the weights of its best epoch are lost."""
    record, _ = reading.read_trial(trial)
    if fault := _unusable(trial, record) or _lacks_answers(trial, record):
        _begin_again(trial, record, fault, say)


def _begin_again(trial: Path, record: TrialRecord, why: str, say: Say) -> None:
    (trial / files.LAST).unlink()
    say(f"trial {record.number} starts from its beginning, with the same result: {why}")


def _fault(trial: Path, record: TrialRecord, space: Space, *, whole: bool) -> str:
    """Why the weights of a trial that ended cannot be used; ``whole``: read them too."""
    best = record.best(space.goal)
    if best is None or not math.isfinite(space.goal.score(best.metrics)) or is_freed(trial):
        return ""
    path = trial / files.WEIGHTS
    if not path.is_file() or not path.stat().st_size:
        return f"{files.WEIGHTS} is missing or empty"
    return _unusable(trial, record) if whole else ""


def _unusable(trial: Path, record: TrialRecord) -> str:
    """Why ``best.pt`` holds no weights of this trial; empty where it does."""
    try:
        metrics: Mapping[str, Any] = load(trial / files.WEIGHTS, whole=False).get("metrics", {})
    except UserError as error:
        return str(error)
    known = {_text(e.metrics) for e in course(record)}
    if _text(metrics) in known or "began_with" in record.tags:
        return ""
    return f"{files.WEIGHTS} is of another training"


def _lacks_answers(trial: Path, record: TrialRecord) -> str:
    """Why the answers of earlier folds cannot be used, to which a trial on every fold adds; empty where they can."""
    try:
        return "" if not any(e.fold for e in record.epochs) or read_validation(trial) else "no dataset has answers"
    except UserError as error:
        return str(error)


def _same(one: EpochRecord, other: EpochRecord) -> bool:
    return reading.epochs_digest([one]) == reading.epochs_digest([other])


def _text(metrics: Mapping[str, Any]) -> str:
    return json.dumps({k: repr(float(v)) for k, v in metrics.items()}, sort_keys=True)
