"""What the synthetic learning-curve oracle (``tests/oracle``) says of resting and of rungs, over twenty seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Literal

from raytune_planes.settings import Value
from tests.benchmarks.stopping import DATASETS, options_of
from tests.benchmarks.tables import Table
from tests.oracle.measures import EPOCHS, GOALS, lift, plain, share_with_rungs

SEEDS = 20
COUNTED = options_of("epochs")
HASTY: Mapping[str, Value] = {**COUNTED, "datasets.fgvc.stop.patience": 3}
NARROW = {f"datasets.{name}.stop.margin": 0.005 for name in DATASETS}
SETTINGS: Mapping[str, Mapping[str, Value]] = {
    "by evidence": options_of("evidence"),
    "by epochs": COUNTED,
    "by epochs, patience 3 for all": HASTY,
    "by epochs, margin 0.005": {**COUNTED, **NARROW},
    "by epochs, patience 3 for all, margin 0.005": {**HASTY, **NARROW},
}
PER: tuple[Literal["samples", "seconds"], ...] = ("samples", "seconds")
Floors = Literal["reach", "strict", "ignore"]
RUNGS: tuple[tuple[str, str, float, Floors], ...] = (
    ("random", "random", 0.1, "reach"),
    ("random", "random", 0.25, "reach"),
    ("tpe", "random", 0.1, "reach"),
    ("tpe", "random", 0.25, "reach"),
    ("tpe", "tpe", 0.1, "reach"),
    ("tpe", "tpe", 0.15, "reach"),
    ("tpe", "tpe", 0.25, "reach"),
    ("tpe", "tpe", 0.25, "ignore"),
    ("tpe", "tpe", 0.25, "strict"),
)
"""Sampler with rungs, sampler of the plain search, first rung and how floors count; the default reduction of 3."""


def measure(quick: bool) -> Table:
    seeds = range(5 if quick else SEEDS)
    rows: list[tuple[str, ...]] = []
    figures: dict[str, float | int] = {"seeds": len(seeds)}
    for per in PER:
        for name, settings in SETTINGS.items():
            lifts = [lift(seed, settings, per=per) for seed in seeds]
            better = sum(each.stop_and_go > each.none for each in lifts)
            median = statistics.median(each.stop_and_go - each.none for each in lifts)
            rows.append((f"worst dataset, equal {per}: {name}", f"{better} of {len(seeds)}", f"{median:+.3f}"))
            figures[f"lift/{per}/{name}/better"], figures[f"lift/{per}/{name}/median"] = better, median
    for about, goal in GOALS.items():
        without = {(name, seed): plain(seed, goal, sampler=name) for name in ("random", "tpe") for seed in seeds}
        for sampler, plainly, grace, floors in RUNGS:
            name = f"{sampler} over plain {plainly}, grace {grace:g}, floors {floors}"
            shares = [
                share_with_rungs(seed, goal, without[plainly, seed], grace=grace, floors=floors, sampler=sampler)
                for seed in seeds
            ]
            within, median = sum(share <= 0.5 for share in shares), statistics.median(shares)
            rows.append((f"{about}: {name}", f"{within} of {len(seeds)}", f"{median:.2f}"))
            figures[f"rungs/{about}/{name}/within_half"], figures[f"rungs/{about}/{name}/median"] = within, median
    notes = (
        f"worst dataset: stop_and_go with given against none, {EPOCHS} epochs; seeds where it is better, median gain",
        "rungs: share of the compute of 40 trials of the plain search until as good a trial; seeds within half, median",
        "synthetic: curves in closed form, see tests/oracle/oracle.py",
    )
    return Table("learning-curve oracle", ("measure", "seeds", "median"), rows, figures, notes)
