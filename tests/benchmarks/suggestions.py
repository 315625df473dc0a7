"""What one suggestion of TPE costs as a study grows, over the smallest and the largest packaged space."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from raytune_planes.settings import Value
from raytune_planes.space import AtRandom, Space, load_space, suggest
from raytune_planes.tuning.samplers import quiet
from raytune_planes.tuning.search import ID, Search
from raytune_planes.tuning.seen import REACHED
from tests.benchmarks.tables import Aim, Table

SPACES = ("quick", "full")
SIZES = (100, 1000, 10_000)
ASKED = 3
LIMIT = 0.3
"""Seconds that a suggestion may take."""


class Noting:
    """Draws at random and notes the distribution of each value as Optuna would."""

    def __init__(self, seed: int) -> None:
        self.chance, self.distributions = AtRandom(seed), dict[str, BaseDistribution]()

    def real(self, path: str, low: float, high: float, log: bool, step: float | None) -> float:
        self.distributions[path] = FloatDistribution(low, high, log=log, step=step)
        return self.chance.real(path, low, high, log, step)

    def whole(self, path: str, low: int, high: int, log: bool, step: int) -> int:
        self.distributions[path] = IntDistribution(low, high, log=log, step=step)
        return self.chance.whole(path, low, high, log, step)

    def choice(self, path: str, options: tuple[Value, ...]) -> Value:
        self.distributions[path] = CategoricalDistribution(options)
        return self.chance.choice(path, options)


def ended(space: Space, count: int) -> Iterator[FrozenTrial]:
    """Trials that have ended: one in three complete, the others pruned; most keep the floors."""
    chance = random.Random(0)
    for number in range(count):
        draw = Noting(number)
        drawn, values = suggest(space, draw), [chance.random() for _ in space.goal.objectives]
        is_complete = number % 3 == 0
        trial = create_trial(
            state=TrialState.COMPLETE if is_complete else TrialState.PRUNED,
            values=values if is_complete else None,
            params=drawn,
            distributions=draw.distributions,
            user_attrs={ID: f"t{number}"} | ({} if is_complete else {REACHED: values}),
        )
        for metric in {*space.goal.floors, *space.goal.relative}:
            trial.set_constraint(metric, chance.random() - 0.7)
        yield trial


def seconds(name: str, count: int) -> float:
    """Processor seconds of a suggestion after ``count`` trials, the median of a few."""
    space = load_space(name)
    search = Search(space)
    with quiet():
        search._study.add_trials(ended(space, count))
    taken = []
    for _ in range(ASKED + 1):
        before = time.process_time()
        search.ask()
        taken.append(time.process_time() - before)
    return statistics.median(taken[1:])  # the first one looks at all trials that have ended; later ones at new ones


def measure(quick: bool) -> Table:
    sizes = SIZES[: 2 if quick else 3]
    found = {name: {size: seconds(name, size) for size in sizes} for name in SPACES}
    rows = [(name, str(len(load_space(name).search)), *(f"{s:.3f}" for s in by.values())) for name, by in found.items()]
    aims = [
        Aim(f"{name}: s a suggestion after {size:,} trials", by[size], LIMIT)
        for name, by in found.items()
        for size in sizes[1:]
    ]
    figures = {name: {str(size): s for size, s in by.items()} for name, by in found.items()}
    header = ("space", "dimensions", *(f"{size:,} trials" for size in sizes))
    notes = ("processor seconds of one suggestion of TPE, all trials in memory: growth has the database",)
    return Table("suggestions", header, rows, figures, notes, aims)
