"""Read a study back from its folder, whatever state it was left in, and the text form of each record."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raytune_planes.errors import UserError
from raytune_planes.floors import Relative
from raytune_planes.invocation import command, in_folder
from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.tracking.base import DataDescription, StudyEnd, StudyStart
from raytune_planes.tracking.files import END, EPOCHS, REFERENCES, STUDY, TRIAL, TRIALS, load_json
from raytune_planes.tracking.learnt import NOTHING, Learnt

MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What a file raises that is JSON, or nearly so, and no record of ours."""


class DamagedFile(UserError):
    """A file of a study is lost or cannot be read, and can be made again from the others."""


@dataclass(frozen=True)
class StudyFiles:
    """All that a study's folder says. Reports, ``best`` and MLflow are made from this alone."""

    folder: Path
    start: StudyStart
    trials: tuple[TrialRecord, ...] = ()
    """By number."""
    end: StudyEnd | None = None
    """None while it runs, and after its driver was killed."""
    warnings: tuple[str, ...] = ()
    """What could not be read and was left out, as messages."""
    alone: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By dataset: validation metrics that it reached when trained alone, with as many samples as trial 0 gave it."""


def read_study(folder: Path) -> StudyFiles:
    """Read a study back from its folder, also while it runs or after it was killed.

    Lines and trials that cannot be read are left out and named in ``warnings``.

    Raises:
        UserError: there is no study in ``folder``, or a newer version of this program wrote it.
    """
    start, end = read_ends(folder)
    trials, warnings = read_trials(folder)
    return StudyFiles(folder, start, trials, end, warnings, alone_metrics(folder / REFERENCES))


def alone_metrics(path: Path) -> dict[str, dict[str, float]]:
    """By dataset; empty where none was trained alone, or the file is damaged: resuming makes it again."""
    try:
        stored = load_json(path)["alone"] if path.is_file() else {}
        return {str(d): {str(k): float(v) for k, v in metrics.items()} for d, metrics in stored.items()}
    except (OSError, *MALFORMED):
        return {}


def kept_references(path: Path) -> dict[str, str]:
    """By dataset the folder, beside the studies, of its training alone; {} where none is known."""
    try:
        stored = load_json(path).get("kept", {}) if path.is_file() else {}
        return {str(dataset): Path(str(name)).name for dataset, name in stored.items()}
    except (OSError, *MALFORMED):
        return {}


def read_trials(folder: Path) -> tuple[tuple[TrialRecord, ...], tuple[str, ...]]:
    """The trials of the study in ``folder`` by number, also without its ``study.json``; and what was left out."""
    trials: list[TrialRecord] = []
    warnings: list[str] = []
    for trial in sorted(p for p in (folder / TRIALS).glob("*") if p.is_dir()):
        try:
            record, its_warnings = read_trial(trial)
        except (OSError, *MALFORMED) as error:
            warnings.append(f"{trial}: left out, its records cannot be read: {_why(error)}")
            continue
        trials.append(record)
        warnings += its_warnings
    trials.sort(key=lambda t: (t.number, t.trial_id))
    return tuple(trials), tuple(warnings)


def has_trials(folder: Path) -> bool:
    """Whether a study's ``folder`` holds any trial, readable or not."""
    return any((folder / TRIALS).glob("*/"))


def read_ends(folder: Path) -> tuple[StudyStart, StudyEnd | None]:
    """A study's start and end, without its trials. Raises UserError like ``read_study``, DamagedFile where it could be
    made again."""
    path = folder / STUDY
    again = f"'{command(f'tune --resume {folder.name}{in_folder(folder.parent)}')}' recreates it"
    if not path.is_file():
        raise DamagedFile(f"no study in {folder}: it has no {STUDY}" + (f"; {again}" if has_trials(folder) else ""))
    try:
        data = load_json(path)
        return _start_from_json(data["start"]), _end_from_json(data["end"])
    except (OSError, *MALFORMED) as error:
        raise DamagedFile(
            f"{path} cannot be read: {_why(error)}; the trials next to it are unchanged, and {again}"
        ) from None


def read_trial(folder: Path) -> tuple[TrialRecord, tuple[str, ...]]:
    """A trial's record, and messages about what was left out of it.

    Raises:
        UserError: a newer version of this program wrote it.
        OSError, ValueError, KeyError, TypeError: ``trial.json`` is missing or malformed.
    """
    start = load_json(folder / TRIAL)
    end, of_end = _read_end(folder / END, str(start["trial_id"]))
    epochs, of_epochs = read_epochs(folder / EPOCHS)
    warnings = (*of_end, *of_epochs, *_missing(folder / EPOCHS, epochs, end))
    record = TrialRecord(
        trial_id=str(start["trial_id"]),
        number=int(start["number"]),
        drawn=dict(start["drawn"]),
        config=dict(start["config"]),
        epochs=epochs,
        end=End(end.get("end", End.RUNNING)),
        reason=str(end.get("reason", "")),
        started_ms=int(start["started_ms"]),
        ended_ms=int(end.get("ended_ms", 0)),
        tags={str(k): str(v) for k, v in {**start["tags"], **end.get("tags", {})}.items()},
    )
    return record, warnings


def has_ended(folder: Path) -> bool:
    """Whether the end of the trial in ``folder`` is on record."""
    return not read_trial(folder)[0].end.is_open


def _read_end(path: Path, trial_id: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """How a trial ended, and why that was left out; empty where no file states it: the trial is then running."""
    if not path.is_file():
        return {}, ()
    try:
        end = load_json(path)
        End(end["end"]), int(end["ended_ms"]), dict(end["tags"])
    except MALFORMED as error:
        return {}, (f"{path}: is left out, it cannot be read ({_why(error)})",)
    if end.get("trial_id", trial_id) != trial_id:
        return {}, (f"{path}: is left out, it is of trial {end['trial_id']}",)
    return end, ()


def _missing(path: Path, epochs: tuple[EpochRecord, ...], end: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence where epochs are not all there that were."""
    numbers = [e.epoch for e in epochs]
    if "epochs" in end and end["epochs"] != len(epochs):
        return (f"{path}: holds {len(epochs)} of {end['epochs']} epochs that the trial ended with",)
    if "digest" in end and end["digest"] != epochs_digest(epochs):
        return (f"{path}: holds other epochs than those that the trial ended with",)
    if not epochs and end.get("end") in (End.COMPLETED, End.CONVERGED, End.PRUNED, End.PAUSED):
        return (f"{path}: holds no epoch of a trial that ended as {end['end']}",)
    gaps = [str(n) for a, b in itertools.pairwise(numbers) for n in range(a + 1, b)]
    return (f"{path}: epoch {', '.join(gaps)} is missing",) if gaps else ()


def epochs_digest(epochs: Iterable[EpochRecord]) -> str:
    """A short hash of what was trained and measured, whenever and however fast that was."""
    course = [(e.epoch, e.step, e.samples, sorted((k, repr(float(v))) for k, v in e.metrics.items())) for e in epochs]
    return hashlib.sha256(repr(course).encode()).hexdigest()[:16]


def read_epochs(path: Path) -> tuple[tuple[EpochRecord, ...], tuple[str, ...]]:
    """Epochs by number, the last line of each counting, and a sentence for every line that cannot be read."""
    epochs: dict[int, EpochRecord] = {}
    warnings = []
    for number, line, whole in epoch_lines(path):
        try:
            record = epoch_from_line(line)
        except MALFORMED as error:
            what = "is unreadable" if whole else "was cut short when its writer died"
            warnings.append(f"{path}, line {number}: {what} and is left out ({_why(error)})")
            continue
        epochs[record.epoch] = record
    return tuple(epochs[number] for number in sorted(epochs)), tuple(warnings)


def epoch_lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Number, bytes and whether it is whole (ends in a newline), of each line that is not blank."""
    if not path.is_file():
        return
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if line.strip():
            yield number, line, line.endswith(b"\n")


def epoch_to_line(epoch: EpochRecord) -> str:
    """One line of strict JSON: a metric that is no number stands as ``"nan"`` or ``"inf"``."""
    data = epoch.to_json()
    metrics = {k: float(v) for k, v in epoch.metrics.items()}
    data["metrics"] = {k: v if abs(v) < float("inf") else str(v) for k, v in metrics.items()}
    return json.dumps(data, allow_nan=False) + "\n"


def epoch_from_line(line: bytes) -> EpochRecord:
    """The inverse of ``epoch_to_line``. Raises ValueError, KeyError or TypeError."""
    data = json.loads(line)
    return EpochRecord.from_json({**data, "metrics": {str(k): float(v) for k, v in data["metrics"].items()}})


def start_to_json(start: StudyStart) -> dict[str, Any]:
    return dataclasses.asdict(start)


def end_to_json(end: StudyEnd | None) -> dict[str, Any] | None:
    return dataclasses.asdict(end) if end else None


def trial_end_to_json(trial: TrialRecord) -> dict[str, Any]:
    """What ``end.json`` holds: how the trial ended, and enough to tell whether its epochs are still those."""
    content = {"end": trial.end, "reason": trial.reason, "ended_ms": trial.ended_ms, "tags": dict(trial.tags)}
    known = {"trial_id": trial.trial_id, "epochs": len(trial.epochs), "digest": epochs_digest(trial.epochs)}
    return {**content, **known}


def _start_from_json(data: Mapping[str, Any]) -> StudyStart:
    goal = Goal(
        tuple(Objective(**o) for o in data["goal"]["objectives"]),
        {str(k): float(v) for k, v in data["goal"]["floors"].items()},
        {str(k): Relative(**v) for k, v in data["goal"].get("relative", {}).items()},
    )
    described = {name: DataDescription(**d) for name, d in data["data"].items()}
    learnt = Learnt.from_json(data["learnt"]) if "learnt" in data else NOTHING
    known = {"goal": goal, "data": described, "searched": tuple(data["searched"]), "learnt": learnt}
    return StudyStart(**{**data, **known})


def _end_from_json(data: Mapping[str, Any] | None) -> StudyEnd | None:
    return StudyEnd(**{**data, "end": End(data["end"])}) if data else None


def _why(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
