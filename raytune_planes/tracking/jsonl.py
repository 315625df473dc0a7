"""The tracker that is always on: records as files, the source from which all else can be made again."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from raytune_planes.errors import UserError
from raytune_planes.records import EpochRecord, TrialRecord, best_trial
from raytune_planes.tracking import files, published, reading
from raytune_planes.tracking.base import StudyEnd, StudyStart
from raytune_planes.tracking.origin import Origin, origin_of

log = logging.getLogger(__name__)


def trial_to_json(trial: TrialRecord) -> dict[str, Any]:
    """What stands in ``trial.json``, but for the study that it belongs to."""
    named = {"trial_id": trial.trial_id, "number": trial.number, "started_ms": trial.started_ms}
    return {**named, "drawn": dict(trial.drawn), "config": dict(trial.config), "tags": dict(trial.tags)}


class JsonlTracker:
    """Writes ``<out>/<study>/``: ``study.json``, ``space.yaml``, ``trials/<number>-<id>/`` and ``best.yaml``."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._start: StudyStart | None = None
        self._folders: dict[str, Path] = {}
        self._epochs: dict[str, dict[int, EpochRecord]] = {}

    @property
    def folder(self) -> Path:
        """The study's folder, once it has started."""
        assert self._start is not None, "start_study comes first"
        return files.study_folder(self.out, self._start.name)

    def start_study(self, start: StudyStart) -> None:
        """Make the folder, or open it again: a resumed study keeps the time, and so the id, of its first start, which
        its trials know too where ``study.json`` is lost.

        Raises:
            UserError: the folder cannot be written, or a newer version wrote it.
        """
        folder = files.study_folder(self.out, start.name)
        try:
            (folder / files.TRIALS).mkdir(parents=True, exist_ok=True)
            if known := origin_of(folder):
                start = dataclasses.replace(start, started_ms=known.started_ms)
            files.write_whole(folder / files.SPACE, start.space_text)
            files.save_json(folder / files.STUDY, {"start": reading.start_to_json(start), "end": None})
        except OSError as error:
            raise UserError(
                f"results cannot be written to {folder}: {error}; choose another folder with --out"
            ) from None
        self._start = start

    def start_trial(self, trial: TrialRecord) -> None:
        folder = files.trial_folder(self.folder, trial.number, trial.trial_id)
        folder.mkdir(parents=True, exist_ok=True)
        started_ms = trial.started_ms
        with suppress(OSError, *reading.MALFORMED):  # new, or lost: the record is as good
            started_ms = reading.read_trial(folder)[0].started_ms
        _mend(folder / files.EPOCHS)
        (folder / files.END).unlink(missing_ok=True)  # it was interrupted and continues
        (folder / files.FREED).unlink(missing_ok=True)  # it is trained again, and gets weights anew
        files.write_whole(folder / files.CONFIG, dotted_yaml(trial.config, f"trial {trial.number}, {trial.trial_id}"))
        about = trial_to_json(dataclasses.replace(trial, started_ms=started_ms))
        assert self._start is not None, "start_study comes first"
        study = dataclasses.asdict(Origin.of(self._start))
        files.save_json(folder / files.TRIAL, {**about, "study": study})
        self._folders[trial.trial_id] = folder
        self._epochs[trial.trial_id] = {e.epoch: e for e in reading.read_epochs(folder / files.EPOCHS)[0]}

    def log_epoch(self, trial_id: str, epoch: EpochRecord) -> None:
        """Append one line. An epoch trained again with equal metrics keeps its first; else the later counts."""
        known = self._epochs[trial_id].get(epoch.epoch)
        if known is not None and _same(known, epoch):
            return
        files.append_whole(self._folders[trial_id] / files.EPOCHS, reading.epoch_to_line(epoch).encode())
        self._epochs[trial_id][epoch.epoch] = epoch

    def end_trial(self, trial: TrialRecord, artifacts: Sequence[Path] = ()) -> None:
        """Keep copies of ``artifacts`` that lie elsewhere, then write how the trial ended."""
        folder = self._folders.get(trial.trial_id)
        if folder is None:  # it failed before it could start
            self.start_trial(trial)
            folder = self._folders[trial.trial_id]
        for path in artifacts:
            if folder.resolve() not in path.resolve().parents:
                shutil.copyfile(path, folder / f".{path.name}")
                (folder / f".{path.name}").replace(folder / path.name)
        for epoch in trial.epochs:
            self.log_epoch(trial.trial_id, epoch)
        files.save_json(folder / files.END, reading.trial_end_to_json(trial))
        self._epochs.pop(trial.trial_id)
        self._folders.pop(trial.trial_id)

    def end_study(self, end: StudyEnd) -> None:
        """Write the best configuration, the published logs of the best trial and of the defaults, and the end."""
        assert self._start is not None, "start_study comes first"
        study = reading.read_study(self.folder)
        best = best_trial(study.trials, study.start.goal)
        if best is not None:
            about = f"trial {best.number} of study {study.start.name}, {best.trial_id}"
            files.write_whole(self.folder / files.BEST, dotted_yaml(best.config, about))
        for trial in study.trials:
            if trial.epochs and (trial.number == 0 or trial is best):
                published.write(trial, self.out / files.LOGS, study.start.name)
        data = {"start": reading.start_to_json(study.start), "end": reading.end_to_json(end)}
        files.save_json(self.folder / files.STUDY, data)


def dotted_yaml(config: Mapping[str, Any], about: str) -> str:
    """Settings as YAML that ``--config`` reads, with ``about`` as a comment above."""
    return f"# {about}\n{yaml.safe_dump(dict(config), sort_keys=True)}"


def _same(one: EpochRecord, other: EpochRecord) -> bool:
    # As text: a NaN equals itself there.
    return {k: repr(float(v)) for k, v in one.metrics.items()} == {k: repr(float(v)) for k, v in other.metrics.items()}


def _mend(path: Path) -> None:
    """Drop a last line that was cut short, so that the next one starts at its own line."""
    lines = list(reading.epoch_lines(path))
    if lines and not lines[-1][2]:
        log.warning("%s, line %d: was cut short when its writer died and is dropped", path, lines[-1][0])
        files.write_whole(path, b"".join(line for _, line, whole in lines if whole))
