"""The events of a running study, and the contract of every tracker that receives them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from raytune_planes.errors import UserError
from raytune_planes.plugins import Joined, joined
from raytune_planes.records import End, EpochRecord, Goal, TrialRecord
from raytune_planes.tracking.learnt import NOTHING, Learnt

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataDescription:
    """One dataset as a study saw it: enough to say whether two studies trained on the same files."""

    fingerprint: str
    counts: Mapping[str, int]
    """Samples by split."""
    synthetic: bool = False
    """Whether the pictures were drawn by ``synth``."""


@dataclass(frozen=True)
class StudyStart:
    """What was asked, of what, with what: everything that is known before the first trial."""

    name: str
    goal: Goal
    about: str = ""
    """The question, in the words of the search space."""
    space: str = ""
    """Name of the search space."""
    space_digest: str = ""
    space_text: str = ""
    """The search space as it was read, so that the study can be understood without the file."""
    searched: tuple[str, ...] = ()
    """Dotted paths of the dimensions."""
    seed: int = 0
    trials: int = 0
    """How many were asked for."""
    data: Mapping[str, DataDescription] = field(default_factory=dict)
    """By dataset."""
    commit: str = ""
    """Git commit of the code; empty when unknown."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of Python and the libraries."""
    started_ms: int = 0
    """Milliseconds since 1970; a resumed study keeps its first start."""
    learnt: Learnt = NOTHING
    """What it took over from earlier studies; a resumed study keeps it, and reads no other study again."""

    @property
    def study_id(self) -> str:
        """Ties the files to MLflow's runs even when a name is used again after its folder was deleted."""
        return hashlib.sha256(f"{self.name}\n{self.started_ms}".encode()).hexdigest()[:16]

    @property
    def synthetic(self) -> bool:
        return any(d.synthetic for d in self.data.values())


@dataclass(frozen=True)
class StudyEnd:
    """How a study ended."""

    end: End = End.COMPLETED
    """COMPLETED, INTERRUPTED (can be resumed) or FAILED."""
    reason: str = ""
    ended_ms: int = 0


class Tracker(Protocol):
    """Listens to one study. Called from the driver's process only."""

    def start_study(self, start: StudyStart) -> None:
        """Called again with the same name when a study is resumed, and when its relative floors are known."""

    def start_trial(self, trial: TrialRecord) -> None:
        """Called again with the same id when a trial is resumed."""

    def log_epoch(self, trial_id: str, epoch: EpochRecord) -> None:
        """An epoch that is logged again with equal metrics, after a resume, must count once."""

    def end_trial(self, trial: TrialRecord, artifacts: Sequence[Path] = ()) -> None:
        """``artifacts`` are files to keep with the trial."""

    def end_study(self, end: StudyEnd) -> None:
        """Returns when everything is written, or when waiting longer would not help."""


def _problem(name: str, row: Any) -> str:
    return "" if callable(row) else f"{row!r} cannot be called with the folder of the results"


TRACKERS: Joined[Callable[[Path], Tracker]] = joined(
    "trackers",
    {
        # "mine": "raytune_planes.tracking.mine:Mine",
    },
    _problem,
)
"""Name -> (folder of the results) -> tracker. Files and MLflow have arguments of their own and are not listed."""


def of_table(out: Path) -> tuple[Tracker, ...]:
    """A tracker of each row for the studies in ``out``; one that cannot be made is logged and left out."""
    made = []
    for name, make in TRACKERS.items():
        try:
            made.append(make(out))
        except Exception as error:  # whatever a foreign package raises
            log.exception("the tracker %s is left out of this study: %s", name, error)
    return tuple(made)


class Trackers:
    """Several trackers as one, in order, the source of truth first; none of them can stop a study.

    Only a UserError at the start of a study passes: a folder that cannot be written is better said before the work.
    """

    def __init__(self, *trackers: Tracker) -> None:
        self.trackers = trackers
        self._silenced: set[tuple[int, str]] = set()

    def start_study(self, start: StudyStart) -> None:
        for tracker in self.trackers:
            self._safely(tracker, lambda t=tracker: t.start_study(start), passing=UserError)  # type: ignore[misc]

    def start_trial(self, trial: TrialRecord) -> None:
        for tracker in self.trackers:
            self._safely(tracker, lambda t=tracker: t.start_trial(trial))  # type: ignore[misc]

    def log_epoch(self, trial_id: str, epoch: EpochRecord) -> None:
        for tracker in self.trackers:
            self._safely(tracker, lambda t=tracker: t.log_epoch(trial_id, epoch))  # type: ignore[misc]

    def end_trial(self, trial: TrialRecord, artifacts: Sequence[Path] = ()) -> None:
        for tracker in self.trackers:
            self._safely(tracker, lambda t=tracker: t.end_trial(trial, artifacts))  # type: ignore[misc]

    def end_study(self, end: StudyEnd) -> None:
        for tracker in self.trackers:
            self._safely(tracker, lambda t=tracker: t.end_study(end))  # type: ignore[misc]

    def _safely(self, tracker: Tracker, call: Callable[[], None], passing: type[Exception] | tuple[()] = ()) -> None:
        try:
            call()
        except passing:
            raise
        except Exception as error:
            key = (id(tracker), type(error).__name__)
            if key not in self._silenced:  # once per kind of trouble: an epoch every few seconds would bury the study
                self._silenced.add(key)
                message = "%s: %s; the study continues; later errors of this kind are not shown"
                of_disk = isinstance(
                    error, OSError | UserError
                )  # said in full by its message; others are faults of ours
                log.error(message, type(tracker).__name__, error, exc_info=not of_disk)
