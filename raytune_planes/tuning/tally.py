"""Counts of a study's trials for its limits, kept up to date by the few of them that have changed."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterable

from raytune_planes.records import Goal, TrialRecord

Rank = tuple[bool, float]
"""Whether a trial keeps every floor, and its score."""
Place = tuple[int, int, str]
"""Of a trial that ended among those that did: when, its number, its id."""
NOTHING: Rank = (False, -math.inf)


class Tally:
    """Tune asks for these counts several times for each report, when of the trials of a large study one has changed:
    only that is counted again. Records do not change, so another object for a trial is a change."""

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self._clear()

    def _clear(self) -> None:
        self.trials: dict[str, TrialRecord] = {}
        self.samples = 0
        """Training images, as ``TrialRecord.trained``."""
        self._complete = self._of_defaults = 0
        self._done: list[Place] = []
        self._ranks: dict[Place, Rank] = {}
        self._best: Place | None = None

    def take(self, trials: Iterable[TrialRecord]) -> None:
        """``trials`` are all of the study."""
        trials, known = list(trials), self.trials
        new = [t for t in trials if known.get(t.trial_id) is not t]
        if len(trials) < len(known) + sum(t.trial_id not in known for t in new):  # one is no longer there
            self._clear()
            new = trials
        for trial in new:
            self._count(trial)

    @property
    def done(self) -> int:
        """Trials that ended."""
        return len(self._done)

    @property
    def state(self) -> tuple[int, int]:
        """Complete trials, and epochs of the defaults."""
        return self._complete, self._of_defaults

    @property
    def since_best(self) -> int:
        """How many trials ended after the best complete one did; 0 while none is complete."""
        if self._best is None or self._ranks[self._best][1] == -math.inf:
            return 0
        return len(self._done) - 1 - bisect_left(self._done, self._best)

    def _count(self, trial: TrialRecord) -> None:
        before = self.trials.get(trial.trial_id)
        self.trials[trial.trial_id] = trial
        for sign, of in ((-1, before), (1, trial)):
            if of is not None:
                self.samples += sign * of.trained
                self._complete += sign * of.end.is_complete
                self._of_defaults += sign * (len(of.epochs) if of.number == 0 else 0)
        if before is not None and not before.end.is_open:
            place = _place(before)
            self._done.remove(place)
            del self._ranks[place]
            self._best = None
            for other in self._done:
                self._weigh(other)
        if not trial.end.is_open:
            place = _place(trial)
            insort(self._done, place)
            self._ranks[place] = _rank(trial, self.goal)
            self._weigh(place)

    def _weigh(self, place: Place) -> None:
        """Whether this trial is the best; of equals the first that ended is."""
        rank, best = self._ranks[place], self._ranks[self._best] if self._best else NOTHING
        if rank > best or (self._best is not None and rank == best and place < self._best):
            self._best = place


def _place(trial: TrialRecord) -> Place:
    return trial.ended_ms, trial.number, trial.trial_id


def _rank(trial: TrialRecord, goal: Goal) -> Rank:
    epoch = trial.best(goal) if trial.end.is_complete else None
    return (goal.feasible(epoch.metrics), goal.score(epoch.metrics)) if epoch else NOTHING
