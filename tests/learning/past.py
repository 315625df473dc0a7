"""Finished studies over a hill of known shape, as their records tell them, for the tests of what a later one learns."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from raytune_planes.learning import Earlier, Present
from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.settings import defaults
from raytune_planes.space import AtRandom, Dimension, Space, suggest
from raytune_planes.tracking import DataDescription, StudyEnd, StudyStart
from raytune_planes.tracking.jsonl import JsonlTracker

FGVC, IOU, PLANES = "val/fgvc/accuracy", "val/hrplanes/iou", "val/planesnet/accuracy"
ONE = Goal((Objective(FGVC),))
LR = Dimension("optim.lr", "float", 1e-4, 1e-1, log=True)
WEIGHT = Dimension("datasets.fgvc.weight", "float", 0.0, 4.0)
RULE = Dimension("stopping.rule", "choice", choices=("none", "stop"))
TRICKLE = Dimension("stopping.trickle", "int", 0, 8, when={"stopping.rule": ("stop",)})
DATA = {"fgvc": DataDescription("f00d", {"train": 400, "val": 100})}
OTHER = {"fgvc": DataDescription("beef", {"train": 400, "val": 100})}
Figures = Callable[[Mapping[str, Any]], dict[str, float]]


def a_space(*search: Dimension, goal: Goal = ONE) -> Space:
    return Space("toy", "Which rate?", goal, {}, search or (LR, WEIGHT, RULE, TRICKLE))


def present(space: Space | None = None, data: Mapping[str, DataDescription] = DATA, trials: int = 40) -> Present:
    return Present(space or a_space(), data, defaults(), trials)


def hill(best_lr: float) -> Figures:
    """Highest at a rate of ``best_lr`` and a weight of 3."""

    def figures(drawn: Mapping[str, Any]) -> dict[str, float]:
        away = abs(math.log10(drawn["optim.lr"] / best_lr)) / 3 + abs(drawn.get("datasets.fgvc.weight", 3.0) - 3) / 8
        return {FGVC: 0.9 - away / 2, PLANES: 0.95 - away / 10}

    return figures


def trials_of(
    space: Space, figures: Figures, *, count: int = 20, seed: int = 0, end: End = End.COMPLETED, **config: Any
) -> tuple[TrialRecord, ...]:
    """The defaults, then configurations at random."""
    draw = AtRandom(seed)
    drawn = [space.first(), *(suggest(space, draw) for _ in range(count - 1))]
    return tuple(
        TrialRecord(
            trial_id=f"{seed:04d}{n:04d}",
            number=n,
            drawn=values,
            config={**defaults(), **config, **values},
            epochs=(EpochRecord(1, 10, 320, figures(values), time_ms=1000 + n),),
            end=end,
            reason="its budget is spent",
            started_ms=900 + n,
            ended_ms=1000 + n,
        )
        for n, values in enumerate(drawn)
    )


def a_study(
    name: str = "old", best_lr: float = 0.01, *, data: Mapping[str, DataDescription] = DATA, **more: Any
) -> Earlier:
    return Earlier(name, f"id-{name}", trials_of(a_space(), hill(best_lr), **more), data)


def shuffled(study: Earlier, seed: int) -> Earlier:
    """The same results, each with the configuration of another trial."""
    drawn = [t.drawn for t in study.trials]
    random.Random(seed).shuffle(drawn)
    return replace(study, trials=tuple(replace(t, drawn=d) for t, d in zip(study.trials, drawn, strict=True)))


def write(out: Path, study: Earlier, *, ended: bool = True) -> Path:
    """The study's folder below ``out``, as its tracker leaves it."""
    tracker = JsonlTracker(out)
    tracker.start_study(StudyStart(study.name, ONE, space="toy", data=study.data, started_ms=1_700_000_000_000))
    for trial in study.trials:
        tracker.start_trial(trial)
        tracker.end_trial(trial)
    if ended:
        tracker.end_study(StudyEnd(End.COMPLETED, "all trials have ended", 1_700_000_900_000))
    return out / study.name
