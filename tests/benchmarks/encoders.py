"""Image encoders on pictures in ``RAYTUNE_PLANES_PICTURES``, at equal samples and at equal processor time."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from raytune_planes.records import End, EpochRecord, Goal, Objective
from raytune_planes.report.intervals import LEAST
from raytune_planes.space import Space, StudySettings
from tests.benchmarks.tables import Aim, Missing, Table

SEEDS = (1, 2, 3)
KEPT = Path("results/encoders")
"""One folder a training, so that the benchmark goes on where it was stopped."""
BATCH, EPOCHS, SAMPLES = 32, 8, 23_040
SHORT = 3
"""Epochs of a training at equal time: validation of a slow encoder would otherwise take most of it."""
LONG = 94_080
METRICS = ("test/planesnet/accuracy", "test/hrplanes/iou", "test/fgvc/accuracy")
GOAL = Goal(tuple(Objective(key.replace("test", "val", 1)) for key in METRICS))
LITE0 = {"model.backbone.kind": "efficientnet_lite0"}
PRETRAINED = {**LITE0, "model.backbone.weights": "pretrained"}
DEFAULT, TUNED = "default, from scratch", "EfficientNet-Lite0, pretrained, tuned"
ENCODERS: Mapping[str, Mapping[str, Any]] = {
    DEFAULT: {},
    TUNED: PRETRAINED,
    "EfficientNet-Lite0, pretrained, frozen": {**PRETRAINED, "model.backbone.freeze": True},
    "EfficientNet-Lite0, from scratch": LITE0,
    "MobileNetV2, from scratch": {"model.backbone.kind": "mobilenet_v2"},
}
AIMS = {"equal time": (0.95, 0.55, 0.65), "equal samples": (0.96, 0.60, 0.75), "94,080 samples": (0.975, 0.70, 0.90)}
"""Of the tuned encoder, in the order of ``METRICS``."""

Result = dict[str, Any]


def measure(quick: bool) -> Table:
    """Raises Missing when the pictures are not here. ``--quick`` takes one seed and leaves out the long training."""
    data = os.environ.get("RAYTUNE_PLANES_PICTURES", "")
    if not data or not Path(data).is_dir():
        raise Missing("RAYTUNE_PLANES_PICTURES names no folder; it should hold planesnet/, hrplanes/ and so on")
    wanted = os.environ.get("RAYTUNE_PLANES_VARIANTS", "")
    chosen = {label: v for label, v in ENCODERS.items() if label == DEFAULT or wanted in label}
    seeds = SEEDS[:1] if quick else SEEDS
    found = {
        "equal samples": _train_all({k: {**v, **_budget(SAMPLES, EPOCHS)} for k, v in chosen.items()}, seeds, data)
    }
    limit = _seconds(found["equal samples"][DEFAULT], EPOCHS)
    short = {label: {**v, **_within(found["equal samples"][label], limit)} for label, v in chosen.items()}
    found["equal time"] = _train_all({k: v for k, v in short.items() if k != DEFAULT}, seeds, data)
    if not quick and TUNED in chosen:
        found["94,080 samples"] = _train_all({TUNED: {**PRETRAINED, **_budget(LONG, 14)}}, seeds, data)
    rows = [
        (budget, label, *_cells(results), f"{_seconds(results, len(results[0]['epochs'])):.0f} s")
        for budget, of in found.items()
        for label, results in of.items()
    ]
    notes = (
        f"Test split, best epoch by validation, mean of {len(seeds)} seeds with its 95 % interval, in points.",
        "Seconds: processor time of training and validation, user and system, mean of the seeds.",
    )
    header = ("budget", "encoder", "PlanesNet", "HRPlanes IoU", "fine-grained", "time")
    return Table("encoders", header, rows, {"results": found}, notes, _aims(found))


def train_one(settings: dict[str, Any], seed: int, data: str) -> Result:
    """Train ``settings`` and judge the best epoch by the test split once, unless that was done before.

    Returns:
        ``metrics`` on the test split, ``epochs``: processor seconds of each (training and validation), ``steps`` an
        epoch, and ``validation``: processor seconds of one validation.
    """
    from raytune_planes.settings import make_config
    from raytune_planes.tracking.files import WEIGHTS
    from raytune_planes.training.checkpoint import Checkpoint, load
    from raytune_planes.training.stages import train_stages
    from raytune_planes.training.trainer import Trainer
    from raytune_planes.training.workers import LocalWorker
    from raytune_planes.tuning.plan import StudyPlan, prepare

    folder = KEPT / hashlib.sha256(json.dumps([settings, seed], sort_keys=True).encode()).hexdigest()[:16]
    kept = folder / "result.json"
    if kept.is_file():
        result: Result = json.loads(kept.read_bytes())
        return result
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps({"settings": settings, "seed": seed}))
    space = Space("encoders", "Which encoder?", GOAL, {"stopping.rule": "none", **settings}, (), StudySettings())
    task = StudyPlan("encoders", space, KEPT, prepare(space, Path(data), None, lambda _: None), space.study).task(
        folder
    )
    config = make_config(*task.layers, {"seed": seed}, source="encoders")
    ended = [time.process_time()]

    def keep(_: EpochRecord, checkpoint: Checkpoint) -> None:
        checkpoint.save(folder)
        ended.append(time.process_time())

    end, reason = train_stages(config, task.supply, GOAL, report=keep)
    assert end is not End.FAILED, reason
    trainer = Trainer(config, *task.supply(config), LocalWorker(config.devices.vision))
    trainer.use(load(folder / WEIGHTS)["weights"])
    began = time.process_time()
    trainer.evaluate("val")
    result = {
        "validation": time.process_time() - began,
        "epochs": [after - before for before, after in itertools.pairwise(ended)],
        "steps": config.budget.steps_per_epoch,
        "metrics": trainer.evaluate("test"),
    }
    kept.write_text(json.dumps(result))
    return result


def _budget(samples: int, epochs: int) -> dict[str, Any]:
    return {
        "budget.epochs": epochs,
        "budget.steps_per_epoch": round(samples / BATCH / epochs),
        "budget.batch_size": BATCH,
    }


def _within(results: Sequence[Result], limit: float) -> dict[str, Any]:
    """The budget of ``SHORT`` epochs that takes ``limit`` seconds at the cost that ``results`` had."""
    validation = statistics.fmean(r["validation"] for r in results)
    step = statistics.fmean((statistics.median(r["epochs"]) - r["validation"]) / r["steps"] for r in results)
    steps = max(1, round((limit / SHORT - validation) / step))
    return _budget(steps * BATCH * SHORT, SHORT)


def _seconds(results: Sequence[Result], epochs: int) -> float:
    return statistics.fmean(statistics.median(r["epochs"]) for r in results) * epochs


def _train_all(variants: Mapping[str, dict[str, Any]], seeds: Sequence[int], data: str) -> dict[str, list[Result]]:
    """One after the other: what runs beside a training changes its processor time."""
    found: dict[str, list[Result]] = {label: [{} for _ in seeds] for label in variants}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        jobs = {
            pool.submit(train_one, dict(settings), seed, data): (label, i)
            for i, seed in enumerate(seeds)
            for label, settings in variants.items()
        }
        for done, job in enumerate(as_completed(jobs), 1):
            label, i = jobs[job]
            found[label][i] = job.result()
            figures = [round(found[label][i]["metrics"][key], 4) for key in METRICS]
            print(f"encoders: {done} of {len(jobs)}: {label}, seed {seeds[i]}: {figures}", file=sys.stderr, flush=True)
    return found


def _cells(results: Sequence[Result]) -> tuple[str, ...]:
    cells = []
    for key in METRICS:
        values = [100 * r["metrics"][key] for r in results]
        mean = statistics.fmean(values)
        if len(values) < LEAST:
            cells.append(f"{mean:.1f}")
            continue
        half = float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
        cells.append(f"{mean:.1f} ± {half:.1f}")
    return tuple(cells)


def _aims(found: Mapping[str, Mapping[str, Sequence[Result]]]) -> list[Aim]:
    return [
        Aim(f"{budget}: {key}", statistics.fmean(r["metrics"][key] for r in found[budget][TUNED]), limit, at_least=True)
        for budget, limits in AIMS.items()
        if TUNED in found.get(budget, {})
        for key, limit in zip(METRICS, limits, strict=True)
    ]
