"""Several objectives and a floor on LCBench's curves: the feasible hypervolume that a search reaches, and how soon.

One configuration trains a network on each of three tasks at once, as a trial of ours trains one model on several
datasets: two tasks are objectives, the third has a floor that one in five random configurations keeps. Each search
begins with the surrogate's defaults.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.space import RungSettings, Space
from raytune_planes.space.dimension import AtRandom, suggest
from raytune_planes.tuning.rungs import Rungs
from raytune_planes.tuning.samplers import quiet
from raytune_planes.tuning.search import Search, Suggestion
from tests.benchmarks.lcbench import (
    DIMENSIONS,
    EPOCHS,
    FIRST,
    FULL_TRAININGS,
    WORKERS,
    Curves,
    opened,
)
from tests.benchmarks.lcbench_table import interval
from tests.benchmarks.rivals import Optuna
from tests.benchmarks.tables import Table
from tests.oracle.simulator import Ours, Strategy, simulate

PROBLEMS = (
    ("34539", "126029", "167149"),
    ("167168", "167200", "168335"),
    ("189862", "189905", "7593"),
    ("146212", "168868", "189873"),
    ("126029", "189905", "146212"),
    ("168335", "7593", "34539"),
)
"""Tasks of the two objectives and of the floor; none of those on which our options were chosen."""
TUNED_ON = (("3945", "167104", "168331"), ("168331", "189906", "3945"), ("189906", "167104", "168331"))
METRICS = ("val/one/accuracy", "val/two/accuracy", "val/floor/accuracy")
DEFAULTS = {
    "batch_size": 91, "learning_rate": 0.0031622777, "momentum": 0.545, "weight_decay": 0.050005,
    "num_layers": 3, "max_units": 256, "max_dropout": 0.5,
}  # fmt: skip
"""The surrogate's own."""
KEEP = 0.2
"""Share of random configurations that keep the floor."""
SEEDS, SHARES = 10, (0.25, 0.5, 1.0)
KEPT = Path("results", "hypervolume")


@dataclass(frozen=True)
class Problem:
    """Three tasks, with what is needed to judge a search on them."""

    tasks: tuple[str, str, str]
    curves: Curves
    goal: Goal
    low: np.ndarray
    """Of both objectives: the median of 200 random configurations, the reference of the hypervolume."""
    high: np.ndarray
    """The best of them."""
    seconds: float
    """Of a full training, their mean."""

    def train(self, asked: Suggestion) -> Iterator[tuple[EpochRecord, End | None]]:
        accuracy, seconds = self.course(asked.drawn)
        for i in range(EPOCHS):
            metrics = {metric: float(accuracy[j, i]) for j, metric in enumerate(METRICS)}
            epoch = EpochRecord(i + 1, i + 1, i + 1, metrics, seconds=float(seconds[i]))
            yield epoch, End.COMPLETED if i + 1 == EPOCHS else None

    def course(self, drawn: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        found = [self.curves.curve(task, drawn) for task in self.tasks]
        return np.array([accuracy for accuracy, _ in found]), sum(seconds for _, seconds in found)

    def space(self, goal: Goal | None = None) -> Space:
        return Space("hypervolume", "", goal or self.goal, {}, DIMENSIONS, start=DEFAULTS)

    def volume(self, points: Sequence[tuple[float, float]]) -> float:
        """Of the points that keep the floor; 1 is the rectangle from the reference to the best of each objective."""
        scaled = np.array([*points, (-1.0, -1.0)])
        scaled = np.clip((scaled - self.low) / (self.high - self.low), 0, None)
        area = height = 0.0
        for x, y in sorted(scaled.tolist(), reverse=True):
            area += x * max(0.0, y - height)
            height = max(height, y)
        return area


def problem(curves: Curves, tasks: tuple[str, str, str]) -> Problem:
    blank = Problem(tasks, curves, Goal((Objective(METRICS[0]), Objective(METRICS[1]))), np.zeros(2), np.ones(2), 1.0)
    space, draw = blank.space(), AtRandom(0)
    drawn = [blank.course(suggest(space, draw)) for _ in range(200)]
    best = np.array([accuracy.max(1) for accuracy, _ in drawn])
    goal = Goal(blank.goal.objectives, {METRICS[2]: float(np.quantile(best[:, 2], 1 - KEEP))})
    seconds = float(np.mean([seconds.sum() for _, seconds in drawn]))
    return Problem(tasks, curves, goal, np.median(best[:, :2], 0), best[:, :2].max(0), seconds)


class Blind(Search):
    """Our search with pruned trials as Optuna has them: without values where there are several objectives."""

    def ask(self, trial_id: str | None = None) -> Suggestion | None:
        self._known = None
        return super().ask(trial_id)


def ours(
    p: Problem,
    seed: int,
    *,
    sampler: str = "tpe",
    grace: int | None = None,
    floors: Any = "reach",
    search: type[Search] = Search,
) -> Ours:
    """Our search with the product's defaults, unless said otherwise; without rungs where ``grace`` is 0."""
    settings = RungSettings()
    first = round(settings.grace * EPOCHS) if grace is None else grace
    rungs = Rungs(p.goal, first, settings.reduction, budget=EPOCHS, floors=floors) if first else None
    return Ours(search(p.space(), sampler=sampler, seed=seed), rungs)


@dataclass
class PenalisedMean(Optuna):
    """Optuna alone on the mean of the objectives less the floor's penalty, begun with the surrogate's defaults."""

    problem: Problem = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        with quiet():
            self._study.enqueue_trial(DEFAULTS)

    def value(self, epoch: EpochRecord) -> float:
        return self.problem.goal.score(epoch.metrics)

    def result(self, record: TrialRecord) -> float:
        return max(map(self.value, record.epochs))


METHODS: Mapping[str, Callable[[Problem, int], Strategy]] = {
    "random": lambda p, seed: ours(p, seed, sampler="random", grace=0),
    "random + MO-ASHA": lambda p, seed: ours(p, seed, sampler="random", grace=FIRST, floors="ignore"),
    "Optuna constrained NSGA-II": lambda p, seed: ours(p, seed, sampler="nsga2", grace=0),
    "Optuna constrained MO-TPE": lambda p, seed: ours(p, seed, grace=0),
    "penalised mean, TPE + halving": lambda p, seed: PenalisedMean(seed, problem=p),
    "ours, first rung 5": lambda p, seed: ours(p, seed, grace=FIRST),
    "ours, pruned trials without values": lambda p, seed: ours(p, seed, search=Blind),
    "ours": ours,
}
"""By name; the last runs with the product's defaults."""


def run(p: Problem, strategy: Strategy, trainings: int = FULL_TRAININGS) -> list[float]:
    """The feasible hypervolume at each of ``SHARES`` of the budget of full trainings; every epoch shown counts."""
    seconds = trainings * p.seconds
    points, volumes = list[tuple[float, float]](), list[float]()
    for moment in simulate(strategy, p.train, workers=WORKERS, seconds=seconds):
        while len(volumes) < len(SHARES) - 1 and moment.spent > SHARES[len(volumes)] * seconds:
            volumes.append(p.volume(points))
        metrics = moment.trial.epochs[-1].metrics
        if p.goal.feasible(metrics):
            points.append((metrics[METRICS[0]], metrics[METRICS[1]]))
    return [*volumes, *[p.volume(points)] * (len(SHARES) - len(volumes))]


def measure(quick: bool) -> Table:
    """Raises Missing when the surrogate or onnxruntime is not here."""
    surrogate = opened()
    seeds = range(2 if quick else int(os.environ.get("RAYTUNE_PLANES_SEEDS", SEEDS)))
    problems = [problem(surrogate, tasks) for tasks in (PROBLEMS[:2] if quick else PROBLEMS)]
    found: dict[tuple[str, str, int], list[float]] = {}
    for seed in seeds:
        print(f"hypervolume: seed {seed} of {len(seeds)}, {len(problems)} problems", file=sys.stderr, flush=True)
        for p in problems:
            for name, method in METHODS.items():
                about = "-".join(p.tasks)
                kept = KEPT / about / f"{name.replace(' ', '-')}-{seed}.json"
                if not kept.is_file():
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    kept.write_text(json.dumps(run(p, method(p, seed))))
                found[about, name, seed] = json.loads(kept.read_bytes())
    return tabulate(found)


def tabulate(found: Mapping[tuple[str, str, int], Sequence[float]]) -> Table:
    """``found``: hypervolumes by problem, method and seed."""
    reference, problems = list(METHODS)[-1], {about for about, _, _ in found}
    most = {about: max(max(v) for (p, _, _), v in found.items() if p == about) for about in problems}
    share = {(p, name, seed): np.array(v) / most[p] for (p, name, seed), v in found.items()}
    rows, figures = list[tuple[str, ...]](), dict[str, Any]()
    for name in METHODS:
        mine = [(p, seed) for p, method, seed in share if method == name]
        ahead: dict[str, list[float]] = {}
        for p, seed in mine:
            ahead.setdefault(p, []).append(float(share[p, reference, seed][-1] - share[p, name, seed][-1]))
        means, behind = np.mean([share[p, name, seed] for p, seed in mine], 0).tolist(), interval(ahead)
        figures[name] = {"volume": means, "behind": behind, "runs": len(mine)}
        rows.append((name, *(f"{v:.3f}" for v in means), "{:+.3f} ({:+.3f} to {:+.3f})".format(*behind)))
    notes = (
        f"{len(problems)} problems, {len({s for _, _, s in found})} seeds; feasible hypervolume at a quarter, half and",
        "all of a budget of 50 full trainings, as a share of the most that any run reached on the problem. behind",
        "ours: at the end of the budget, with the 95 % interval of a bootstrap over problems.",
    )
    return Table("hypervolume", ("method", "quarter", "half", "all", "behind ours"), rows, figures, notes)
