"""What a study bought: the defaults' trial beside the best, metric by metric, and its goal in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from raytune_planes.records import HIGHER_IS_BETTER, Goal, TrialRecord, best_trial, split_metric
from raytune_planes.tracking.reading import StudyFiles


@dataclass(frozen=True)
class Gain:
    """One validation metric at the best epoch of the defaults' trial and of the best trial."""

    metric: str
    before: float
    """NaN when the defaults' trial has no such metric."""
    after: float

    @property
    def difference(self) -> float:
        return self.after - self.before


def defaults_trial(study: StudyFiles) -> TrialRecord | None:
    """Trial 0, when it got as far as an epoch."""
    return next((t for t in study.trials if t.number == 0 and t.epochs), None)


def best_of(study: StudyFiles) -> TrialRecord | None:
    """The best complete trial; one that keeps all floors goes before any that does not."""
    return best_trial(study.trials, study.start.goal)


def gains(before: TrialRecord | None, after: TrialRecord, goal: Goal) -> tuple[Gain, ...]:
    """Every validation metric that grows with quality, and every metric of the goal, sorted by name."""
    named = {o.metric for o in goal.objectives} | set(goal.floors)
    old, new = _result(before, goal), _result(after, goal)
    shown = [key for key in new if key in named or _is_quality(key)]
    return tuple(Gain(key, old.get(key, math.nan), new[key]) for key in sorted(shown))


def goal_in_words(goal: Goal) -> str:
    """``"raise val/fgvc/accuracy; keep val/planesnet/accuracy at 0.95 or more"``."""
    wanted = [f"{'raise' if o.mode == 'max' else 'lower'} {o.metric}" for o in goal.objectives]
    kept = [f"keep {key} at {floor:g} or more" for key, floor in goal.floors.items()]
    return "; ".join([" and ".join(wanted), *kept])


def _result(trial: TrialRecord | None, goal: Goal) -> dict[str, float]:
    epoch = trial.best(goal) if trial else None
    return dict(epoch.metrics) if epoch else {}


def _is_quality(key: str) -> bool:
    parts = split_metric(key)
    return parts is not None and parts[0] == "val" and parts[2] in HIGHER_IS_BETTER
