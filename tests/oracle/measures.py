"""What the oracle is asked: does resting lift the worst dataset, and do rungs find as good a configuration for less?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from raytune_planes.records import EpochRecord, Goal, Objective
from raytune_planes.settings import Value, make_config
from raytune_planes.space import Dimension, RungSettings, Space, trial_config
from raytune_planes.tuning.rungs import Rungs
from raytune_planes.tuning.search import Search
from tests.oracle.oracle import World
from tests.oracle.simulator import Course, Moment, Ours, simulate

FGVC, IOU, PLANES = "val/fgvc/accuracy", "val/hrplanes/iou", "val/planesnet/accuracy"
ONE = Goal((Objective(FGVC),), {PLANES: 0.95, IOU: 0.5})
TWO = Goal((Objective(FGVC), Objective(IOU)), {PLANES: 0.95})
GOALS: Mapping[str, Goal] = {"one objective, two floors": ONE, "two objectives, one floor": TWO}

EPOCHS = 30
"""Of a trial, at the default 60 steps each: long enough for a dataset to settle and another to use what it frees."""
DIMENSIONS = (
    Dimension("optim.lr", "float", 3e-4, 1e-2, log=True),
    Dimension("datasets.planesnet.share", "float", 0.1, 2.0, log=True),
    Dimension("datasets.hrplanes.share", "float", 0.25, 4.0, log=True),
    Dimension("datasets.fgvc.share", "float", 0.5, 8.0, log=True),
    Dimension("datasets.fgvc.weight", "float", 0.5, 8.0, log=True),
    Dimension("datasets.fgvc.head.depth", "int", 0, 3),
    Dimension("datasets.fgvc.head.dropout", "float", 0.0, 0.6),
    Dimension("stopping.rule", "choice", choices=("none", "stop", "stop_and_go")),
    Dimension("datasets.planesnet.stop.patience", "float", 0.1, 0.5, when={"stopping.rule": ("stop", "stop_and_go")}),
    Dimension("datasets.fgvc.stop.patience", "float", 0.1, 0.5, when={"stopping.rule": ("stop", "stop_and_go")}),
)
"""Ranges as in the packaged spaces ``rebalance`` and ``stopping``."""


@dataclass(frozen=True)
class Lift:
    """The worst dataset's true value at the epoch that validation chose, under both rules."""

    none: float
    stop_and_go: float


def lift(
    seed: int,
    settings: Mapping[str, Value],
    *,
    epochs: int = EPOCHS,
    per: Literal["samples", "seconds"] = "samples",
) -> Lift:
    """``stop_and_go`` with ``given`` against ``none`` in the world ``seed``, at equal compute."""
    without = list(_train(seed, {**settings, "stopping.rule": "none"}, epochs))
    resting = _train(seed, {**settings, "stopping.rule": "stop_and_go", "stopping.freed": "given"}, epochs)
    spent, kept = 0.0, []
    for epoch in resting:
        spent = epoch.samples if per == "samples" else spent + epoch.seconds
        if spent > (without[-1].samples if per == "samples" else sum(e.seconds for e in without)):
            break
        kept.append(epoch)
    return Lift(_worst(without), _worst(kept))


def _train(seed: int, settings: Mapping[str, Value], epochs: int) -> Iterator[EpochRecord]:
    config = make_config(settings, {"budget.epochs": epochs})
    return (epoch for epoch, _ in World(seed).train(config, floors=TWO.floors))


def _worst(epochs: list[EpochRecord]) -> float:
    best = max(epochs, key=lambda e: TWO.score(e.metrics))
    return min(value for key, value in best.metrics.items() if key.startswith("test/"))


@dataclass(frozen=True)
class Plain:
    """What plain search came to."""

    score: float
    """True score of the trial that it would name as best, at the epoch that validation chose."""
    seconds: float
    """Simulated, over all workers: its compute."""


def plain(seed: int, goal: Goal, *, trials: int = 40, sampler: str = "tpe") -> Plain:
    """The package's search without rungs in the world ``seed``."""
    search = Search(_space(goal), sampler=sampler, seed=seed, limit=trials)
    *_, (seconds, score) = _best(simulate(Ours(search), _course(seed, goal), seconds=math.inf), goal)
    return Plain(score, seconds)


def share_with_rungs(
    seed: int,
    goal: Goal,
    plain: Plain,
    *,
    grace: float = RungSettings().grace,
    reduction: int = RungSettings().reduction,
    floors: Literal["reach", "strict", "ignore"] = "reach",
    sampler: str = "tpe",
    options: Mapping[str, Any] | None = None,
) -> float:
    """The share of plain search's compute after which the search with rungs names a trial that is truly as good.

    Infinite when it names none for 1.5 times that compute.
    """
    samples = EPOCHS * 60 * 32
    rungs = Rungs(goal, round(grace * samples), reduction, budget=samples, floors=floors)
    search = Search(_space(goal), sampler=sampler, options=options, seed=seed)
    moments = simulate(Ours(search, rungs), _course(seed, goal), seconds=1.5 * plain.seconds)
    spent = next((seconds for seconds, score in _best(moments, goal) if score >= plain.score), math.inf)
    return spent / plain.seconds


def _best(moments: Iterator[Moment], goal: Goal) -> Iterator[tuple[float, float]]:
    """Seconds spent, and the true score of the trial that ``best`` would name then: complete, keeping every floor."""
    shown, true = -math.inf, -math.inf
    for moment in moments:
        epoch = moment.trial.best(goal) if moment.trial.end.is_complete else None
        if epoch and goal.feasible(epoch.metrics) and goal.score(epoch.metrics) > shown:
            shown = goal.score(epoch.metrics)
            true = statistics.fmean(epoch.metrics[o.metric.replace("val/", "test/")] for o in goal.objectives)
        yield moment.spent, true


def _space(goal: Goal) -> Space:
    return Space("oracle", "", goal, {"budget.epochs": EPOCHS}, DIMENSIONS)


def _course(seed: int, goal: Goal) -> Course:
    world, space = World(seed), _space(goal)
    return lambda asked: world.train(trial_config(space, asked.drawn), asked.number, goal.floors)
