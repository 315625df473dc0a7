"""When a study has had enough: by trials, hours, samples, or because the best no longer moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from raytune_planes.floors import DEFAULTS
from raytune_planes.printing import counted
from raytune_planes.records import Goal, TrialRecord, best_trial
from raytune_planes.space import StudySettings
from raytune_planes.tracking.costs import trained_for
from raytune_planes.tuning.tally import Tally


@dataclass(frozen=True)
class Limits:
    """What a study may spend; None for no limit. Whichever is reached first ends it."""

    trials: int | None = None
    """Trials that ended, whatever their end."""
    hours: float | None = None
    """Wall clock over all runs of the study, with the final training that follows."""
    samples: int | None = None
    """Training images over all trials; those of a stage that one trial trained for the others count once."""
    patience: int | None = None
    """Trials that ended since the best one did."""

    @staticmethod
    def of(study: StudySettings) -> Limits:
        return Limits(study.trials, study.hours, study.samples, study.patience)


class StudyBudget:
    """Says when a study ends and why.

    ``clock`` gives seconds; ``spent_seconds`` is what earlier runs of the same study took. ``final_seconds`` says how
    long the final training will take by the trials so far.
    """

    def __init__(
        self,
        limits: Limits,
        goal: Goal,
        clock: Callable[[], float],
        spent_seconds: float = 0.0,
        final_seconds: Callable[[Iterable[TrialRecord], Goal], float] = lambda trials, goal: 0.0,
    ) -> None:
        self.limits, self.goal, self._final_seconds = limits, goal, final_seconds
        self._clock, self._started, self._spent = clock, clock(), spent_seconds
        self._tally = Tally(goal)
        self._looked: tuple[int, int] | None = None
        self._final = self._shortest = 0.0

    @property
    def seconds(self) -> float:
        """Wall clock of the study so far, over all its runs."""
        return self._spent + self._clock() - self._started

    def take_goal(self, goal: Goal) -> None:
        """Rank trials by ``goal`` from now on."""
        self.goal = goal
        self._tally = Tally(goal)
        self._looked = None

    def ended(self, trials: Iterable[TrialRecord]) -> str:
        """Why no further trial should start, or ``""``; ``trials`` are all of the study, running ones too."""
        tally, limits = self._tally, self.limits
        tally.take(trials)
        done = tally.done
        if limits.trials is not None and done >= limits.trials:
            return f"{counted(done, 'trial')} of {limits.trials} {'is' if done == 1 else 'are'} done"
        if limits.hours is not None and (over := self._hours_over(limits.hours)):
            return over
        if limits.samples is not None and tally.samples >= limits.samples:
            return f"{tally.samples:,} samples of {limits.samples:,} are spent"
        if limits.patience is not None and (since := tally.since_best) >= limits.patience:
            return f"the best has not moved for {counted(since, 'trial')}"
        return ""

    def short_of_time(self, trials: Iterable[TrialRecord]) -> str:
        """Why no new trial should begin although the study goes on, or ``""``: what is left of its hours is less than
        any complete trial took. One that the limit stops is not complete, and so can be no best."""
        if self.limits.hours is None:
            return ""
        self._tally.take(trials)
        self._look()
        left = self.limits.hours * 3600 - self.seconds - self._final
        if left <= 0 or left >= self._shortest:
            return ""
        return (
            f"no further trial begins: {left:,.0f} s of {self.limits.hours:g} h are left"
            f"{' before the final training' if self._final else ''}, and the shortest complete trial took "
            f"{self._shortest:,.0f} s"
        )

    def _hours_over(self, hours: float) -> str:
        over = f"{self.seconds / 3600:.2f} hours of {hours:g} are over"
        if self.seconds >= hours * 3600:
            return over
        self._look()
        if self.seconds + self._final >= hours * 3600:
            return f"{over}, and the final training takes about {_took(self._final)}"
        return ""

    def _look(self) -> None:
        """Know ``_final`` and ``_shortest``, the seconds of the final training and of the shortest complete trial.

        Tune asks at each of its steps, and all trials are ranked for it: so only where one has become complete, or the
        defaults have trained another epoch.
        """
        if self._tally.state != self._looked:
            trials = list(self._tally.trials.values())
            took = (trained_for(t) for t in trials if t.end.is_complete)
            self._looked, self._shortest = self._tally.state, min(took, default=0.0)
            self._final = self._final_seconds(trials, self.goal)


def long_seconds(trial: TrialRecord, epochs: int) -> float:
    """Wall clock that ``epochs`` more epochs of ``trial`` take, by those it had; 0 before its first."""
    return epochs * trained_for(trial) / max(1, len(trial.epochs))


def final_seconds(trials: Iterable[TrialRecord], goal: Goal, epochs: int, *, one_by_one: bool) -> float:
    """Wall clock of the final training, by what the trials so far took an epoch.

    Args:
        trials: All of the study. Before its best is complete, that is taken to be as fast as the defaults.
        goal: Ranks them.
        epochs: Of each training, of all its stages or folds together; 0 for no final training.
        one_by_one: Whether the choice waits for the defaults.
    """
    trials = list(trials)
    first = next((t for t in trials if t.number == 0), None)
    best = best_trial(trials, goal) or first
    if first is None or best is None or not epochs:
        return 0.0
    if best is first and any(t.end.is_complete for t in trials if t.number):
        return long_seconds(first, epochs)
    each = (long_seconds(first, epochs), long_seconds(best, epochs))
    return sum(each) if one_by_one else max(each)


def needs_defaults(goal: Goal) -> bool:
    """Whether the choice is trained after the defaults, as a floor follows these."""
    return any(floor.reference == DEFAULTS for floor in goal.relative.values())


def _took(seconds: float) -> str:
    return f"{seconds / 3600:.2g} h" if seconds >= 3600 else f"{max(1, round(seconds / 60))} min"


def trained_seconds(trials: Iterable[TrialRecord]) -> float:
    """Wall-clock time in which at least one of ``trials`` trained."""
    total = until = 0.0
    for start, end in sorted((e.time_ms / 1000 - e.seconds, e.time_ms / 1000) for t in trials for e in t.epochs):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
