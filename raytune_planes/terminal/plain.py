"""The view of a study where there is no terminal: one line per event."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from typing import TextIO

from raytune_planes.printing import counted, printable
from raytune_planes.records import EpochRecord, Goal, TrialRecord
from raytune_planes.terminal.alone import Alone, loss_text
from raytune_planes.terminal.board import (
    Board,
    Outline,
    card_of,
    clock,
    place_of,
    progress,
    short_name,
    short_value,
)
from raytune_planes.terminal.remaining import span
from raytune_planes.tracking.gains import missed_in_words
from raytune_planes.tracking.steps import Steps

AGAIN_S = 60.0
"""How often a trial without a new epoch tells its steps."""


class PlainView:
    """One line per event, for logs, pipes and continuous integration."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._board: Board | None = None
        self._told_s: dict[str, float] = {}

    def start(self, outline: Outline) -> None:
        self._board = Board(outline)
        again = f", {len(outline.earlier)} of them from before" if outline.earlier else ""
        self._say(f"study {outline.name}: {counted(outline.trials, 'trial')}{again}. {outline.about}".strip())

    def trial_started(self, trial: TrialRecord) -> None:
        self._know().take(trial)
        drawn = ", ".join(f"{path} = {short_value(value)}" for path, value in trial.drawn.items())
        self._say(f"trial {trial.number} starts{' again' if trial.epochs else ''}: {drawn or 'the defaults'}")

    def epoch(self, trial: TrialRecord, epoch: EpochRecord) -> None:
        board = self._know()
        board.take(trial)
        self._told_s[trial.trial_id] = time.monotonic()
        values = ", ".join(
            f"{name} {short_name(board.outline.primary[name])} {value}" for name, value in board.values(trial).items()
        )
        where = f" on {place_of(trial)}" if board.outline.has_places else ""
        took = "; ".join(filter(None, (f"{epoch.seconds:.1f} s", card_of(epoch))))
        self._say(f"trial {trial.number} epoch {progress(trial)}{where}: {values} ({took})")
        for line in board.news(trial, epoch):
            self._say(line)

    def trial_ended(self, trial: TrialRecord) -> None:
        board = self._know()
        board.take(trial)
        best = board.best()
        mark = ", the best so far" if best is not None and best.trial_id == trial.trial_id else ""
        left = board.remaining()
        rest = f"; {board.ended} of {counted(board.outline.trials, 'trial')}, {clock(board.elapsed_s)} so far"
        rest += f", {span(*left)} to go" if left else ""
        self._say(f"trial {trial.number} {trial.end}: {trial.reason}{_reached(trial, board.outline.goal, mark)}{rest}")

    def tick(self) -> None:
        """The first figures of each trial, and again where an epoch takes minutes."""
        board = self._know()
        now = time.monotonic()
        for trial in board.running():
            if now < self._told_s.get(trial.trial_id, -math.inf) + AGAIN_S:
                continue  # before its file is read: Tune asks many times a second
            steps = board.steps(trial)
            if steps is None or not steps.done:
                continue
            self._told_s[trial.trial_id] = now
            self._say(f"trial {trial.number} epoch {board.progress(trial)}: {_steps(steps)}")
        for alone in board.alone.values():
            if now < self._told_s.get(alone.dataset, -math.inf) + AGAIN_S:
                continue
            if (steps := alone.steps) and steps.done:
                self._told_s[alone.dataset] = now
                self._say(f"{alone.dataset} alone epoch {alone.progress}: {_steps(steps)}")

    def alone_began(self, alone: Alone) -> None:
        self._know().alone[alone.dataset] = alone
        self._say(f"{alone.dataset} alone starts, for comparison: {counted(alone.epochs, 'epoch')}")

    def alone_ended(self, dataset: str, text: str, metrics: Mapping[str, float] | None) -> None:
        self._know().alone.pop(dataset, None)
        self._say(text)

    def goal(self, goal: Goal) -> None:
        self._know().take_goal(goal)

    def note(self, text: str) -> None:
        self._say(text)

    def stop(self) -> None:
        self._stream.flush()

    def lost(self, text: str, status: int) -> None:
        print(text, file=sys.stderr, flush=True)

    def _say(self, text: str) -> None:
        print(printable(text, lines=True), file=self._stream, flush=True)

    def _know(self) -> Board:
        assert self._board is not None, "start comes first"
        return self._board


def _steps(steps: Steps) -> str:
    """``step 3 of 40, loss 3.214, 65 images a second``."""
    pace = f"{steps.images / steps.seconds:,.0f} images a second" if steps.seconds > 0 else ""
    return ", ".join(filter(None, (f"step {steps.done} of {steps.steps}", loss_text(steps), pace)))


def _reached(trial: TrialRecord, goal: Goal, mark: str) -> str:
    """The score, or which floors were missed and by how much: a score below a floor cannot be compared with others."""
    result = trial.best(goal)
    if result is None or not math.isfinite(value := goal.value(result.metrics)):
        return ""
    missed = missed_in_words(goal, result.metrics)
    return f"; at epoch {result.epoch} {missed}" if missed else f", score {value:.4f} at epoch {result.epoch}{mark}"
