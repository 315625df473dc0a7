"""What an epoch, a trial and a study produced; the only place that makes the names of metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from raytune_planes.floors import ALONE, DEFAULTS, Relative
from raytune_planes.tasks import TASKS

FORMAT = 1
"""Version of the record files."""


def metric(split: str, dataset: str, name: str) -> str:
    """``metric("val", "fgvc", "accuracy")`` -> ``"val/fgvc/accuracy"``."""
    return f"{split}/{dataset}/{name}"


def stage_names(plan: str) -> tuple[str, ...]:
    """The stages that a ``plan`` names, in order."""
    return tuple(name for each in plan.split(",") if (name := each.strip()))


def split_metric(key: str) -> tuple[str, str, str] | None:
    """The parts of a name that ``metric`` made, or None for any other key."""
    parts = key.split("/")
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else None


HIGHER_IS_BETTER = tuple(name for task in TASKS.values() for name in task.metrics)
"""Metrics in [0, 1]; every other one is a loss, an error or a size."""
NEEDS_WEIGHT = {name: task.weight for task in TASKS.values() if task.optional for name in task.measures}
"""Metrics of parts that a model has only where this setting is above 0."""
MEASURES = tuple(name for task in TASKS.values() for name in task.measures)
"""Every metric that a task may have; its mean term ``<task>_loss`` is divided by its value at chance."""


class Action(StrEnum):
    REST = "rest"
    WAKE = "wake"


@dataclass(frozen=True)
class Decision:
    """A dataset was put to rest or woken, and why."""

    dataset: str
    action: Action
    epoch: int
    reason: str


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of one trial, the same on every worker."""

    epoch: int
    """1 for the first."""
    step: int
    """Training batches so far."""
    samples: int
    """Training images that the weights have seen so far, over all workers."""
    metrics: Mapping[str, float]
    """Flat, by the names that ``metric`` makes."""
    resting: tuple[str, ...] = ()
    """Datasets that rest after this epoch."""
    decisions: tuple[Decision, ...] = ()
    """Taken after this epoch's validation."""
    seconds: float = 0.0
    """Wall-clock time of this epoch."""
    time_ms: int = 0
    """When it ended, in milliseconds since 1970."""
    stage: str = ""
    """Of the training's plan; empty where there is none."""
    began: int = 0
    """Of ``samples``, those that another trial trained: this one began with its weights after them."""
    fold: int = 0
    """From 1 where a trial trains on every fold: ``fold1/val/...``, and where one ends also the means, ``val/...``."""
    result: Mapping[str, float] = field(default_factory=dict)
    """Where a fold ends: the metrics of its best epoch, ``val/...``."""

    def to_json(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if k not in ("stage", "began", "fold", "result") or v}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> EpochRecord:
        decisions = tuple(Decision(**{**d, "action": Action(d["action"])}) for d in data["decisions"])
        return EpochRecord(**{**data, "resting": tuple(data["resting"]), "decisions": decisions})


class End(StrEnum):
    """How a trial ended, or that it has not."""

    CONVERGED = "converged"
    """Every dataset rested before the budget was spent."""
    COMPLETED = "completed"
    """The budget was spent."""
    PRUNED = "pruned"
    """The search stopped it."""
    FAILED = "failed"
    """An error, or a metric that is no number."""
    RUNNING = "running"
    INTERRUPTED = "interrupted"  # the study was stopped while it ran; it can be resumed
    PAUSED = "paused"
    """It waits at a rung with its checkpoint while its process takes others, and continues if it is among the best."""

    @property
    def is_open(self) -> bool:
        """Whether it may still train."""
        return self in (End.RUNNING, End.INTERRUPTED, End.PAUSED)

    @property
    def is_complete(self) -> bool:
        return self in (End.CONVERGED, End.COMPLETED)


@dataclass(frozen=True)
class TrialRecord:
    """A trial from its start to its end. ``trial_id`` ties records, checkpoint, Optuna trial and MLflow run."""

    trial_id: str
    number: int
    """0 for the defaults."""
    drawn: Mapping[str, Any]
    """The settings that the sampler drew, by dotted path."""
    config: Mapping[str, Any] = field(repr=False)
    """Every setting, by dotted path."""
    epochs: tuple[EpochRecord, ...] = field(default=(), repr=False)
    end: End = End.RUNNING
    reason: str = ""
    """Why it ended, as a message."""
    started_ms: int = 0
    ended_ms: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    """Where and on what it ran: host, pool, data fingerprint, whether data is synthetic."""

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Every rest and wake, in order."""
        return tuple(d for e in self.epochs for d in e.decisions)

    @property
    def trained(self) -> int:
        """Training images that this trial saw itself: without those of the stages that another one trained for it."""
        return self.epochs[-1].samples - self.epochs[0].began if self.epochs else 0

    def best(self, goal: Goal) -> EpochRecord | None:
        """The epoch with the highest score under ``goal``; its metrics are the trial's result, its weights are kept.

        Of a plan's last stage alone, which not every trial reaches (None): epochs of a stage before it are not in every
        trial. Of a trial that trains on every fold, the mean over the folds that have ended.
        """
        if any(e.fold for e in self.epochs):
            end = next((e for e in reversed(self.epochs) if e.result), None)
            return end and replace(end, metrics={k: v for k, v in end.metrics.items() if not k.startswith("fold")})
        last = "".join(stage_names(self.config.get("plan", ""))[-1:])
        judged = [e for e in self.epochs if e.stage == last] if last else self.epochs
        return max(judged, key=lambda e: (goal.score(e.metrics), -e.epoch), default=None)


@dataclass(frozen=True)
class Objective:
    """A metric to maximise or minimise."""

    metric: str
    mode: str = "max"

    def worse_first(self, value: float) -> float:
        """``value`` turned so that larger is better."""
        return value if self.mode == "max" else -value


@dataclass(frozen=True)
class Goal:
    """What a study wants: objectives to improve, and floors under which no metric may fall."""

    objectives: tuple[Objective, ...]
    floors: Mapping[str, float] = field(default_factory=dict)
    relative: Mapping[str, Relative] = field(default_factory=dict)
    """Floors that follow a reference; a metric is among ``floors`` too once its reference is known."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """Metrics whose floors are not known yet."""
        return tuple(key for key in self.relative if key not in self.floors)

    def with_references(
        self, defaults: Mapping[str, float], alone: Mapping[str, Mapping[str, float]] | None = None
    ) -> Goal:
        """The goal with every floor that these metrics settle.

        Args:
            defaults: of trial 0, at its best epoch.
            alone: by dataset, of its training alone.
        """
        by_reference = {DEFAULTS: defaults, ALONE: {k: v for of in (alone or {}).values() for k, v in of.items()}}
        settled = {
            key: floor.value(by_reference[floor.reference][key])
            for key, floor in self.relative.items()
            if math.isfinite(by_reference[floor.reference].get(key, math.nan))
        }
        return replace(self, floors={**self.floors, **settled})

    def values(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """One value per objective, in order; NaN where the metric is absent."""
        return tuple(metrics.get(o.metric, math.nan) for o in self.objectives)

    def shortfalls(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """By how much each floor is missed; 0 when it is kept, 1 when its metric is absent."""
        return {
            key: max(0.0, floor - metrics[key]) if math.isfinite(metrics.get(key, math.nan)) else 1.0
            for key, floor in self.floors.items()
        }

    def feasible(self, metrics: Mapping[str, float]) -> bool:
        return not any(self.shortfalls(metrics).values())

    def value(self, metrics: Mapping[str, float]) -> float:
        """The mean of the objectives, turned so that larger is better, as people see it. NaN where one is absent."""
        values = [o.worse_first(v) for o, v in zip(self.objectives, self.values(metrics), strict=True)]
        return sum(values) / len(values) if values and all(map(math.isfinite, values)) else math.nan

    def score(self, metrics: Mapping[str, float]) -> float:
        """One number to rank epochs and trials by: ``value`` less 10 x each floor's shortfall.

        The penalty's slope is steep enough that no gain of one objective in [0, 1] pays for losing a tenth of a floor.
        """
        value = self.value(metrics)
        return -math.inf if math.isnan(value) else value - 10 * sum(self.shortfalls(metrics).values())


def not_finite(metrics: Mapping[str, float]) -> list[str]:
    """Names of the metrics that are not finite numbers."""
    return [k for k, v in metrics.items() if not math.isfinite(v)]


def rank(trial: TrialRecord, goal: Goal) -> tuple[bool, float, int]:
    """Larger is better: a trial that keeps all floors goes before any that does not, then the score counts."""
    epoch = trial.best(goal)
    metrics = epoch.metrics if epoch else {}
    return goal.feasible(metrics), goal.score(metrics), -trial.number


def best_trial(trials: Iterable[TrialRecord], goal: Goal) -> TrialRecord | None:
    """The complete trial that ranks highest."""
    return max((t for t in trials if t.end.is_complete and t.best(goal)), key=lambda t: rank(t, goal), default=None)
