"""Writes a line for all that is heard of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raytune_planes.records import EpochRecord, TrialRecord
from raytune_planes.tracking.base import StudyEnd, StudyStart


class Lines:
    """Writes ``lines.txt`` into the folder of the results."""

    def __init__(self, out: Path) -> None:
        self._path = out / "lines.txt"

    def start_study(self, start: StudyStart) -> None:
        self._write(f"study {start.name}")

    def start_trial(self, trial: TrialRecord) -> None:
        self._write(f"trial {trial.number}")

    def log_epoch(self, trial_id: str, epoch: EpochRecord) -> None:
        self._write(f"epoch {epoch.epoch}")

    def end_trial(self, trial: TrialRecord, artifacts: Sequence[Path] = ()) -> None:
        self._write(f"trial {trial.number} {trial.end}")

    def end_study(self, end: StudyEnd) -> None:
        self._write(f"study {end.end}")

    def _write(self, line: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
