"""What each group of settings gains over the defaults on pictures that lie in ``RAYTUNE_PLANES_PICTURES``."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raytune_planes.processors import allowed
from raytune_planes.report.intervals import LEAST
from tests.benchmarks.tables import Table
from tests.benchmarks.trainings import (
    METRICS,
    SEEDS,
    Result,
    chosen,
    folder_of,
    half_width,
    pictures,
    task_of,
    train_all,
)
from tests.benchmarks.variants import VARIANTS

KEPT = Path("results/gains")
"""One folder a training, so that the benchmark goes on where it was stopped."""
BUDGET = {"budget.epochs": 4, "budget.steps_per_epoch": 90, "stopping.rule": "none"}
"""Half of the default number of samples; nothing rests, so that all see as many."""


def measure(quick: bool) -> Table:
    """Raises Missing when the pictures are not here."""
    data = pictures()
    seeds = SEEDS[:2] if quick else SEEDS
    trained = train_all("gains", train_one, chosen(VARIANTS), seeds, data, allowed())
    found = {label: [result.get("metrics", {}) for result in results] for label, results in trained.items()}
    rows = [compared(label, found[label], found[next(iter(VARIANTS))]) for label in found]
    figures = {label: {key: [r.get(key) for r in found[label]] for key in METRICS} for label in found}
    notes = (
        f"Differences from the defaults on the test split, seed by seed ({len(seeds)} seeds), with the 95 % interval",
        "of their mean; accuracy and IoU in points. The first row gives the defaults' own means.",
    )
    return Table("gains", ("variant", "PlanesNet", "HRPlanes IoU", "fine-grained"), rows, figures, notes)


def train_one(settings: dict[str, Any], seed: int, data: Path) -> Result:
    """Train ``settings`` over the budget and judge the best epoch by the test split, unless that was done before."""
    from raytune_planes.tuning.confirm import RESULT, train_again

    folder = folder_of(KEPT, settings, seed)
    if (folder / RESULT).is_file():
        kept: Result = json.loads((folder / RESULT).read_bytes())
        return kept
    return train_again(task_of("gains", {**BUDGET, **settings}, data, folder), {}, seed, folder)


def compared(label: str, mine: Sequence[Mapping[str, float]], base: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """``label``, and of each of ``METRICS`` the mean of ``mine``, or what ``mine`` gains over ``base`` seed by seed."""
    if mine is base:
        means = [statistics.fmean(r[key] for r in base) for key in METRICS]
        return (label, *(f"{100 * mean:.1f}" for mean in means))
    pairs = [(m, b) for m, b in zip(mine, base, strict=True) if m and b]
    if not pairs:
        return (label, "failed", "", "")
    return (label, *(_cell([m[key] - b[key] for m, b in pairs]) for key in METRICS))


def _cell(gains: Sequence[float]) -> str:
    """Mean in points, with half the width of Student's 95 % interval over the seeds where there are three or more."""
    if len(gains) < LEAST:
        return ", ".join(f"{100 * gain:+.1f}" for gain in gains)
    return f"{100 * statistics.fmean(gains):+.1f} ± {100 * half_width(gains):.1f}"
