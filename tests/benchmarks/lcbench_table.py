"""The comparison on LCBench as a table; each run is kept under ``results/lcbench``, so that a second call goes on."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.lcbench import FULL_TRAININGS, WORKERS, Run, full_training, opened, run
from tests.benchmarks.rivals import METHODS
from tests.benchmarks.tables import Missing, Table

TUNED_ON = ("3945", "167104", "168331", "189906")
"""Our options were chosen on these tasks: they are not in the table."""
TASKS = ("34539", "126029", "167149", "167168", "167200", "168335", "189862", "189905")
TASKS += ("7593", "146212", "168868", "189873")
"""Of the surrogate's 34 tasks about every third by number."""
OURS = list(METHODS)[-1]
SEEDS = 10
KEPT = Path("results", "lcbench")
TIMES = np.linspace(0.05, 1, 20)
"""Shares of the budget at which methods are ranked."""
Runs = Mapping[tuple[str, str, int], Run]
"""By task, method and seed."""
Key = tuple[str, int]


def measure(quick: bool) -> Table:
    """Raises Missing when the surrogate or onnxruntime is not here."""
    surrogate = opened()
    tasks = TASKS[:2] if quick else TASKS
    seeds = range(2 if quick else int(os.environ.get("RAYTUNE_PLANES_SEEDS", SEEDS)))
    part = os.environ.get("RAYTUNE_PLANES_METHODS", "")
    seconds = {task: FULL_TRAININGS * full_training(surrogate, task) for task in tasks}
    runs: dict[tuple[str, str, int], Run] = {}
    absent: set[str] = set()
    for seed in seeds:
        print(f"lcbench: seed {seed} of {len(seeds)}, {len(tasks)} tasks", file=sys.stderr, flush=True)
        for task in tasks:
            for name, method in METHODS.items():
                kept = KEPT / task / f"{name.replace(' ', '-')}-{seed}.json"
                if kept.is_file():
                    runs[task, name, seed] = Run(**json.loads(kept.read_bytes()))
                elif part in name and name not in absent:
                    try:
                        strategy = method(seed)
                    except Missing as why:
                        absent.add(name)
                        print(f"lcbench: {name} has no row: {why}", file=sys.stderr, flush=True)
                        continue
                    done = runs[task, name, seed] = run(surrogate, task, strategy, seconds[task])
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    kept.write_text(json.dumps(asdict(done)), encoding="utf-8")
    return tabulate(runs)


def tabulate(runs: Runs) -> Table:
    """The table of ``runs``, which may lack some of a method."""
    found = [name for name in METHODS if any(method == name for _, method, _ in runs)]
    figures = {name: compare(runs, name) for name in found}
    tasks, seeds = {task for task, _, _ in runs}, {seed for _, _, seed in runs}
    notes = (
        f"{len(tasks)} tasks, {len(seeds)} seeds, {WORKERS} simulated workers, budget {FULL_TRAININGS} full trainings;",
        "paired with ours by task and seed; in brackets 95 % intervals by a bootstrap over tasks.",
        "slower: simulated time to the final value of random search, divided by ours (the budget when never reached).",
        "behind: points of final accuracy behind ours. half-gap: as slower, to half way from random search's final",
        "value to the best that any method found on the task. rank: mean over time, of the methods with all runs.",
    )
    rows = [_row(name, figures[name]) for name in found]
    return Table("LCBench", ("method", "slower", "behind", "half-gap", "rank", "runs"), rows, figures, notes)


def compare(runs: Runs, name: str) -> dict[str, Any]:
    """``name`` beside ours over the tasks and seeds that both have."""
    keys = [(t, s) for t, method, s in runs if method == name and (t, OURS, s) in runs and (t, "random", s) in runs]
    known = {t: max(r.final for (task, _, _), r in runs.items() if task == t) for t, _ in keys}

    def random(task: str, seed: int) -> float:
        return runs[task, "random", seed].final

    def slower(target: Callable[[str, int], float]) -> dict[str, list[float]]:
        logs = {
            k: np.log(runs[k[0], name, k[1]].time_to(target(*k)) / runs[k[0], OURS, k[1]].time_to(target(*k)))
            for k in keys
        }
        return _by_task(logs)

    behind = {(t, s): 100 * (runs[t, OURS, s].final - runs[t, name, s].final) for t, s in keys}
    return {
        "slower": [float(np.exp(v)) for v in interval(slower(random))],
        "behind": interval(_by_task(behind)),
        "half-gap": [float(np.exp(v)) for v in interval(slower(lambda t, s: (random(t, s) + known[t]) / 2))],
        "rank": _rank(runs, name),
        "runs": len(keys),
        "trials": statistics.fmean(runs[t, name, s].trials for t, s in keys),
        "final": 100 * statistics.fmean(runs[t, name, s].final for t, s in keys),
    }


def interval(by_task: Mapping[str, Sequence[float]], draws: int = 2000) -> list[float]:
    """The mean over tasks of each task's mean, and its 95 % interval by a bootstrap over tasks."""
    means = np.array([statistics.fmean(values) for values in by_task.values()])
    drawn = np.random.default_rng(0).integers(len(means), size=(draws, len(means)))
    low, high = np.quantile(means[drawn].mean(1), (0.025, 0.975))
    return [float(means.mean()), float(low), float(high)]


def _by_task(values: Mapping[Key, float]) -> dict[str, list[float]]:
    return {t: [v for (task, _), v in values.items() if task == t] for t, _ in values}


def _rank(runs: Runs, name: str) -> float | None:
    """Mean place of the best accuracy so far at ``TIMES``, equal ones in the middle; None without all runs."""
    keys = _keys(runs, OURS)
    others = [method for method in METHODS if _keys(runs, method) == keys]
    if name not in others:
        return None
    places = []
    for task, seed in keys:
        mine = _so_far(runs[task, name, seed])
        theirs = np.array([_so_far(runs[task, method, seed]) for method in others])
        places.append(1 + (theirs > mine).sum(0) + ((theirs == mine).sum(0) - 1) / 2)
    return float(np.mean(places))


def _keys(runs: Runs, name: str) -> set[Key]:
    return {(t, s) for t, method, s in runs if method == name}


def _so_far(run: Run) -> np.ndarray:
    return np.array([run.best[np.searchsorted(run.clock, time, side="right") - 1] for time in TIMES])


def _row(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    slower, behind, half = (figures[column] for column in ("slower", "behind", "half-gap"))
    rank = "" if figures["rank"] is None else f"{figures['rank']:.1f}"
    return name, _between(slower, ".2f"), _between(behind, "+.2f"), _between(half, ".2f"), rank, str(figures["runs"])


def _between(figures: Iterable[float], form: str) -> str:
    mean, low, high = (format(value, form) for value in figures)
    return f"{mean} ({low} to {high})"
