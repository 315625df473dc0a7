"""What a joint model gains from its specialists' answers, on pictures that lie in ``RAYTUNE_PLANES_PICTURES``."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from raytune_planes.processors import allowed
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

KEPT = Path("results/distillation")
"""One folder a training, so that the benchmark goes on where it was stopped."""
BUDGET: Mapping[str, Any] = {"budget.epochs": 4, "budget.steps_per_epoch": 90, "stopping.rule": "none"}
"""11,520 samples; nothing rests, so that all see as many."""
WEIGHT = "losses.distillation.weight"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "labels alone": {},
    "weight 1": {WEIGHT: 1.0},
    "weight 3": {WEIGHT: 3.0},
    "weight 0.3": {WEIGHT: 0.3},
}
TIME = "seconds.json"


def measure(quick: bool) -> Table:
    """Raises Missing when the pictures are not here."""
    data = pictures()
    seeds = SEEDS[:2] if quick else SEEDS
    variants = chosen(VARIANTS)
    workers = int(os.environ.get("RAYTUNE_PLANES_WORKERS", allowed()))
    alone = train_all("specialists", specialists, {"specialists": {}}, seeds, data, workers)["specialists"]
    found = train_all("distillation", train_one, variants, seeds, data, workers)
    base = found["labels alone"]
    rows = [_row("specialists", alone, base), *(_row(label, results, base) for label, results in found.items())]
    figures = {label: [r.get("metrics") for r in results] for label, results in found.items()}
    notes = (
        f"Differences from the labels alone on the test split, seed by seed ({len(seeds)} seeds), with the 95 %",
        "interval of their mean; accuracy and IoU in points. Time is processor time of training and validation.",
    )
    header = ("variant", "PlanesNet", "HRPlanes IoU", "fine-grained", "time")
    return Table("distillation", header, rows, {"specialists": [r.get("metrics") for r in alone], **figures}, notes)


def train_one(settings: dict[str, Any], seed: int, data: Path) -> Result:
    """Train ``settings`` over the budget, with the specialists of the same seed, and judge by the test split."""
    from raytune_planes.tracking.files import WEIGHTS
    from raytune_planes.tuning.confirm import RESULT, train_again

    folder = folder_of(KEPT, settings, seed)
    teachers = {f"datasets.{name}.teacher": str(_alone(name, seed) / WEIGHTS) for name in _names()}
    if not (folder / RESULT).is_file():
        task = task_of("distillation", {**BUDGET, **settings, **teachers}, data, folder)
        began = time.process_time()
        outcome = train_again(task, {}, seed, folder)
        if "failed" in outcome:
            return outcome
        (folder / TIME).write_text(json.dumps(time.process_time() - began))
    return {**json.loads((folder / RESULT).read_bytes()), "seconds": json.loads((folder / TIME).read_bytes())}


def specialists(settings: dict[str, Any], seed: int, data: Path) -> Result:
    """Train each dataset alone with the samples that it gets among the others, and judge it by its own test split."""
    from raytune_planes.tracking.files import WEIGHTS
    from raytune_planes.training.checkpoint import load
    from raytune_planes.training.trainer import Trainer
    from raytune_planes.training.workers import LocalWorker
    from raytune_planes.tuning.confirm import RESULT
    from raytune_planes.tuning.references import alone, train_alone

    metrics, seconds = dict[str, float](), 0.0
    for name in _names():
        folder = _alone(name, seed)
        kept = folder / f"test-{RESULT}"
        if not kept.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            task = task_of("alone", {**BUDGET, **settings, "seed": seed}, data, folder)
            began = time.process_time()
            outcome = train_alone(task, {}, name, folder)
            if "failed" in outcome:
                return outcome
            spent = time.process_time() - began
            config = alone(task, {}, name)
            trainer = Trainer(config, *replace(task, workers=1).supply(config), LocalWorker("cpu"))
            trainer.use(load(folder / WEIGHTS)["weights"])
            kept.write_text(json.dumps({"metrics": trainer.evaluate("test"), "seconds": spent}))
        result = json.loads(kept.read_bytes())
        metrics |= result["metrics"]
        seconds += result["seconds"]
    return {"metrics": metrics, "seconds": seconds}


def _names() -> list[str]:
    return [key.split("/")[1] for key in METRICS]


def _alone(name: str, seed: int) -> Path:
    return (KEPT / f"{name}-seed{seed}").absolute()


def _row(label: str, mine: Sequence[Result], base: Sequence[Result]) -> tuple[str, ...]:
    if any("metrics" not in result for result in mine):
        return (label, "failed", "", "", "")
    seconds = sum(r["seconds"] for r in mine) / sum(r["seconds"] for r in base)
    if mine is base:
        means = [statistics.fmean(r["metrics"][key] for r in base) for key in METRICS]
        return (label, *(f"{100 * mean:.1f}" for mean in means), f"{seconds:.2f}")
    gains = {key: [m["metrics"][key] - b["metrics"][key] for m, b in zip(mine, base, strict=True)] for key in METRICS}
    cells = [f"{100 * statistics.fmean(g):+.1f} ± {100 * half_width(g):.1f}" for g in gains.values()]
    return (label, *cells, f"{seconds:.2f}")
