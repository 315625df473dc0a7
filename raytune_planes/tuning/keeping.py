"""Keeps a study's disk small: what no trial, person or later run needs is removed whenever a trial ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from raytune_planes.records import EpochRecord, Goal, TrialRecord
from raytune_planes.tracking.base import StudyEnd, StudyStart
from raytune_planes.tracking.files import WEIGHTS
from raytune_planes.tracking.keeping import folder_of, free, named_elsewhere, needed
from raytune_planes.tracking.reading import MALFORMED, has_ended
from raytune_planes.training.ended import drop_state


class Keeper:
    """Removes the optimiser's state of each trial that ends, and the weights of those that are no longer needed.

    It is told as a tracker is (``tracking.base.Tracker``), after those that record.
    """

    def __init__(self, study: Path, keep: int, say: Callable[[str], None], earlier: Iterable[TrialRecord] = ()) -> None:
        """``earlier``: trials of previous runs of the study."""
        self._study, self._keep, self._say = study, keep, say
        self._earlier, self._goal = tuple(earlier), Goal(())
        self._held: dict[str, TrialRecord] = {}
        """Ended trials that have weights: few, however many trials there are."""

    def start_study(self, start: StudyStart) -> None:
        self._goal, earlier, self._earlier = start.goal, self._earlier, ()
        self.take(earlier, self._goal)

    def start_trial(self, trial: TrialRecord) -> None:
        self._held.pop(trial.trial_id, None)

    def log_epoch(self, trial_id: str, epoch: EpochRecord) -> None:
        """Nothing ends by that."""

    def end_trial(self, trial: TrialRecord, artifacts: Sequence[Path] = ()) -> None:
        self.take([trial], self._goal)

    def end_study(self, end: StudyEnd) -> None:
        """All has been done."""

    def take(self, trials: Iterable[TrialRecord], goal: Goal) -> None:
        """Trials whose end has been recorded, or that an earlier run of the study left. Those that can continue keep
        all they have; so does a trial whose end is not on disk, whatever the driver knows of it."""
        for trial in trials:
            folder = folder_of(self._study, trial)
            if trial.end.is_open or not _is_on_disk(folder):
                continue
            try:
                drop_state(folder, trial.end, trial.reason, trial.epochs, trial.drawn)
            except OSError as error:
                self._say(f"the optimiser's state of trial {trial.number} stays on disk: {error}")
            if (folder / WEIGHTS).is_file():
                self._held[trial.trial_id] = trial
        self._free(goal)

    def _free(self, goal: Goal) -> None:
        why = needed(self._held.values(), goal, self._keep)
        spare = [t for t in self._held.values() if t.trial_id not in why]
        named = named_elsewhere(self._study) if spare else ""
        for trial in spare:
            folder = folder_of(self._study, trial)
            if folder.name in named:
                continue
            try:
                free(folder, self._keep)
            except OSError as error:
                self._say(f"the weights of trial {trial.number} stay on disk: {error}")
            del self._held[trial.trial_id]


def _is_on_disk(folder: Path) -> bool:
    try:
        return has_ended(folder)
    except (OSError, *MALFORMED):
        return False
