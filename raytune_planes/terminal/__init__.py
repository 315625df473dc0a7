"""What a person sees of a running study: a table that lives in a terminal, plain lines anywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TextIO

from raytune_planes.records import EpochRecord, Goal, TrialRecord
from raytune_planes.terminal.alone import Alone
from raytune_planes.terminal.board import Outline
from raytune_planes.terminal.plain import PlainView

__all__ = ["Alone", "Outline", "PlainView", "View", "make_view"]


class View(Protocol):
    """Told of a study by its driver."""

    def start(self, outline: Outline) -> None: ...

    def trial_started(self, trial: TrialRecord) -> None: ...

    def epoch(self, trial: TrialRecord, epoch: EpochRecord) -> None:
        """``trial`` already holds ``epoch``."""

    def trial_ended(self, trial: TrialRecord) -> None: ...

    def alone_began(self, alone: Alone) -> None:
        """A dataset is trained alone from now on, for comparison."""

    def alone_ended(self, dataset: str, text: str, metrics: Mapping[str, float] | None) -> None:
        """It has ended, as ``text`` says; ``metrics``: at its best epoch, None without a result. It may begin again."""

    def goal(self, goal: Goal) -> None:
        """The goal, from now on: floors that follow a reference have become known."""

    def tick(self) -> None:
        """Called often while trials run: for what changes between epochs."""

    def note(self, text: str) -> None:
        """Something a person should read that belongs to no trial."""

    def stop(self) -> None:
        """No more is shown; called however the study ends, perhaps twice."""

    def lost(self, text: str, status: int) -> None:
        """The process ends at once with this exit status; comes after ``stop``."""


def make_view(stream: TextIO) -> View:
    """The live table where ``stream`` is a terminal, plain lines where not."""
    if not stream.isatty():
        return PlainView(stream)
    from raytune_planes.terminal.live import LiveView

    return LiveView(stream)
