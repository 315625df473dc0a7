"""What each group of settings gains over the defaults on pictures that lie in ``RAYTUNE_PLANES_PICTURES``."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from raytune_planes.processors import allowed
from raytune_planes.records import Goal, Objective
from raytune_planes.report.intervals import LEAST
from raytune_planes.space import Space, StudySettings
from tests.benchmarks.tables import Missing, Table
from tests.benchmarks.variants import VARIANTS

SEEDS = (1, 2, 3)
KEPT = Path("results/gains")
"""One folder a training, so that the benchmark goes on where it was stopped."""
BUDGET = {"budget.epochs": 4, "budget.steps_per_epoch": 90, "stopping.rule": "none"}
"""Half of the default number of samples; nothing rests, so that all see as many."""
METRICS = ("test/planesnet/accuracy", "test/hrplanes/iou", "test/fgvc/accuracy")
GOAL = Goal(tuple(Objective(key.replace("test", "val", 1)) for key in METRICS))


def measure(quick: bool) -> Table:
    """Raises Missing when the pictures are not here."""
    data = os.environ.get("RAYTUNE_PLANES_PICTURES", "")
    if not data or not Path(data).is_dir():
        raise Missing("RAYTUNE_PLANES_PICTURES names no folder; it should hold planesnet/, hrplanes/ and so on")
    seeds = SEEDS[:2] if quick else SEEDS
    wanted = os.environ.get("RAYTUNE_PLANES_VARIANTS", "")
    chosen = {label: v for label, v in VARIANTS.items() if not wanted or wanted in label or not v}
    found = _train_all(chosen, seeds, Path(data))
    rows = [_row(label, found[label], found[next(iter(VARIANTS))]) for label in chosen]
    figures = {label: {key: [r.get(key) for r in found[label]] for key in METRICS} for label in chosen}
    notes = (
        f"Differences from the defaults on the test split, seed by seed ({len(seeds)} seeds), with the 95 % interval",
        "of their mean; accuracy and IoU in points. The first row gives the defaults' own means.",
    )
    return Table("gains", ("variant", "PlanesNet", "HRPlanes IoU", "fine-grained"), rows, figures, notes)


def _train_all(
    variants: Mapping[str, Mapping[str, Any]], seeds: Sequence[int], data: Path
) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {label: [{} for _ in seeds] for label in variants}
    workers = allowed()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        jobs = {
            pool.submit(train_one, dict(settings), seed, data): (label, i)
            for i, seed in enumerate(seeds)
            for label, settings in variants.items()
        }
        for done, job in enumerate(as_completed(jobs), 1):
            label, i = jobs[job]
            result = job.result()
            print(f"gains: {done} of {len(jobs)}: {label}, seed {seeds[i]}: {result}", file=sys.stderr, flush=True)
            found[label][i] = result.get("metrics", {})
    return found


def train_one(settings: dict[str, Any], seed: int, data: Path) -> dict[str, Any]:
    """Train ``settings`` over the budget and judge the best epoch by the test split, unless that was done before."""
    from raytune_planes.tuning.confirm import RESULT, train_again
    from raytune_planes.tuning.plan import StudyPlan, prepare

    name = hashlib.sha256(json.dumps([settings, seed], sort_keys=True).encode()).hexdigest()[:16]
    folder = KEPT / name
    if (folder / RESULT).is_file():
        kept: dict[str, Any] = json.loads((folder / RESULT).read_bytes())
        return kept
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "asked.json").write_text(json.dumps({"settings": settings, "seed": seed}))
    space = Space("gains", "What does it gain?", GOAL, {**BUDGET, **settings}, (), StudySettings())
    plan = StudyPlan("gains", space, KEPT, prepare(space, data, None, lambda _: None), space.study)
    return train_again(plan.task(folder), {}, seed, folder)


def _row(label: str, mine: Sequence[Mapping[str, float]], base: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    if mine is base:
        means = [statistics.fmean(r[key] for r in base) for key in METRICS]
        return (label, *(f"{100 * mean:.1f}" for mean in means))
    pairs = [(m, b) for m, b in zip(mine, base, strict=True) if m and b]
    if not pairs:
        return (label, "failed", "", "")
    return (label, *(_cell([m[key] - b[key] for m, b in pairs]) for key in METRICS))


def _cell(gains: Sequence[float]) -> str:
    """Mean in points, with half the width of Student's 95 % interval over the seeds where there are three or more."""
    mean, n = statistics.fmean(gains), len(gains)
    if n < LEAST:
        return ", ".join(f"{100 * gain:+.1f}" for gain in gains)
    half = float(student.ppf(0.975, n - 1)) * statistics.stdev(gains) / math.sqrt(n)
    return f"{100 * mean:+.1f} ± {100 * half:.1f}"
