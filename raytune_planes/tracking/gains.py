"""The gains of a study: the defaults' trial compared with the best, metric by metric, and its goal in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from raytune_planes.records import HIGHER_IS_BETTER, Goal, TrialRecord, best_trial, metric, split_metric
from raytune_planes.tasks import of_scenes
from raytune_planes.tracking.reading import StudyFiles

BY_SCENE = ("iou", "dice", "ap50", "oriented_ap50", "oriented_map", *of_scenes())
"""Metrics of masks, boxes and whole scenes. Their sample is the scenes: tiles of one scene show the same ground and
light."""


@dataclass(frozen=True)
class Sample:
    """What a metric was measured on."""

    count: int
    unit: str
    """"pictures" or "scenes"."""

    def __str__(self) -> str:
        return f"{self.count:,} {self.unit if self.count != 1 else self.unit[:-1]}"


@dataclass(frozen=True)
class Gain:
    """One validation metric at the best epoch of the defaults' trial and of the best trial."""

    metric: str
    before: float
    """NaN when the defaults' trial has no such metric."""
    after: float
    sample: Sample | None = None
    """What the best trial's was measured on; None when its records do not say it."""
    alone: float = math.nan
    """Of the dataset trained alone with the settings and samples of the defaults' trial; NaN where it was not."""

    @property
    def difference(self) -> float:
        return self.after - self.before


def defaults_trial(study: StudyFiles) -> TrialRecord | None:
    """Trial 0, if it completed an epoch."""
    return next((t for t in study.trials if t.number == 0 and t.epochs), None)


def best_of(study: StudyFiles) -> TrialRecord | None:
    """The best complete trial; one that keeps all floors goes before any that does not."""
    return best_trial(study.trials, study.start.goal)


def gains(study: StudyFiles, after: TrialRecord) -> tuple[Gain, ...]:
    """Every validation metric that grows with quality, and every metric of the goal, sorted by name."""
    before, goal = defaults_trial(study), study.start.goal
    alone = {key: value for metrics in study.alone.values() for key, value in metrics.items()}
    named = {o.metric for o in goal.objectives} | set(goal.floors)
    old, new = _result(before, goal), _result(after, goal)
    shown = [key for key in new if key in named or is_quality(key)]
    return tuple(
        Gain(key, old.get(key, math.nan), new[key], sample_of(key, new), alone.get(key, math.nan))
        for key in sorted(shown)
    )


def sample_of(key: str, metrics: Mapping[str, float]) -> Sample | None:
    """What the metric ``key`` was measured on, as the ``metrics`` of the same split say; None where they do not."""
    parts = split_metric(key)
    if parts is None:
        return None
    split, dataset, name = parts
    units = ("scenes", "images") if name in BY_SCENE else ("images",)
    counts = ((unit, metrics.get(metric(split, dataset, unit), math.nan)) for unit in units)
    return next((Sample(round(n), "scenes" if u == "scenes" else "pictures") for u, n in counts if n >= 1), None)


def goal_in_words(goal: Goal) -> str:
    """``"raise val/fgvc/accuracy; keep val/planesnet/accuracy at 0.95 or more"``."""
    parts = [f"{'raise' if o.mode == 'max' else 'lower'} {o.metric}" for o in goal.objectives]
    kept = [f"keep {key} at {floor_in_words(goal, key)} or more" for key in {**goal.floors, **goal.relative}]
    return "; ".join([" and ".join(parts), *kept])


def floor_in_words(goal: Goal, key: str) -> str:
    """``"0.95"``, or ``"0.9312 (defaults - 0.01)"`` where it follows a reference, ``"defaults - 0.01"`` until then."""
    if key not in goal.relative:
        return f"{goal.floors[key]:g}"
    return f"{goal.floors[key]:.4f} ({goal.relative[key]})" if key in goal.floors else str(goal.relative[key])


def unapplied(goal: Goal) -> list[str]:
    """The floors that follow a reference without a result, in sentences: no trial was judged by them."""
    return [
        f"the floor of {key}, {goal.relative[key]}, is not applied: its reference has no result" for key in goal.unknown
    ]


def missed_in_words(goal: Goal, metrics: Mapping[str, float]) -> str:
    """``"val/planesnet/accuracy is 0.8800, 0.0200 below its floor of 0.9"``; empty where every floor is kept."""
    return "; ".join(
        f"{key} is {metrics.get(key, math.nan):.4f}, {gap:.4f} below its floor of {floor_in_words(goal, key)}"
        for key, gap in goal.shortfalls(metrics).items()
        if gap
    )


def _result(trial: TrialRecord | None, goal: Goal) -> dict[str, float]:
    epoch = trial.best(goal) if trial else None
    return dict(epoch.metrics) if epoch else {}


def is_quality(key: str, split: str = "val") -> bool:
    """Whether a metric of that split grows with quality."""
    parts = split_metric(key)
    return parts is not None and parts[0] == split and parts[2] in HIGHER_IS_BETTER
