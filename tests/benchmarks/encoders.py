"""Image encoders on pictures in ``RAYTUNE_PLANES_PICTURES``, at equal samples and at equal processor time."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raytune_planes.records import End, EpochRecord
from raytune_planes.report.intervals import LEAST
from tests.benchmarks.tables import Aim, Table
from tests.benchmarks.trainings import (
    METRICS,
    SEEDS,
    Result,
    Variants,
    chosen,
    folder_of,
    half_width,
    pictures,
    task_of,
    train_all,
)

KEPT = Path("results/encoders")
"""One folder a training, so that the benchmark goes on where it was stopped."""
BATCH, EPOCHS, SAMPLES = 32, 8, 23_040
SHORT = 3
"""Epochs of a training at equal time: validation of a slow encoder would otherwise take most of it."""
LONG = 94_080
LITE0 = {"model.backbone.kind": "efficientnet_lite0"}
PRETRAINED = {**LITE0, "model.backbone.weights": "pretrained"}
FROZEN = {**PRETRAINED, "model.backbone.freeze": True, "model.backbone.views": 4}
DEFAULT, TUNED = "default, from scratch", "EfficientNet-Lite0, pretrained, tuned"
ENCODERS: Variants = {
    DEFAULT: {},
    TUNED: PRETRAINED,
    "EfficientNet-Lite0, pretrained, frozen": FROZEN,
    "EfficientNet-Lite0, from scratch": LITE0,
    "MobileNetV2, from scratch": {"model.backbone.kind": "mobilenet_v2"},
}
AIMS = {"equal time": (0.95, 0.55, 0.65), "equal samples": (0.96, 0.60, 0.75), "94,080 samples": (0.975, 0.70, 0.90)}
"""Of the tuned encoder, in the order of ``METRICS``."""


def measure(quick: bool) -> Table:
    """Raises Missing when the pictures are not here. ``--quick`` takes one seed and leaves out the long training."""
    data, encoders, seeds = pictures(), chosen(ENCODERS), SEEDS[:1] if quick else SEEDS

    def trained(variants: Variants) -> dict[str, list[Result]]:
        """One after the other: what runs beside a training changes its processor time."""
        return train_all("encoders", train_one, variants, seeds, data, workers=1)

    found = {"equal samples": trained({k: {**v, **_budget(SAMPLES, EPOCHS)} for k, v in encoders.items()})}
    limit = _seconds(found["equal samples"][DEFAULT], EPOCHS)
    short = {label: {**v, **_within(found["equal samples"][label], limit)} for label, v in encoders.items()}
    found["equal time"] = trained({k: v for k, v in short.items() if k != DEFAULT})
    if not quick and TUNED in encoders:
        found["94,080 samples"] = trained({TUNED: {**PRETRAINED, **_budget(LONG, 14)}})
    rows = [
        (budget, label, *_cells(results), f"{_seconds(results, len(results[0]['epochs'])):.0f} s")
        for budget, of in found.items()
        for label, results in of.items()
    ]
    notes = (
        f"Test split, best epoch by validation, mean of {len(seeds)} seeds with its 95 % interval, in points.",
        "Seconds: processor time of training and validation, user and system, mean of the seeds, by the median epoch:",
        "what is computed once, such as the features of a frozen encoder, is left out.",
    )
    header = ("budget", "encoder", "PlanesNet", "HRPlanes IoU", "fine-grained", "time")
    return Table("encoders", header, rows, {"results": found}, notes, _aims(found))


def train_one(settings: dict[str, Any], seed: int, data: Path) -> Result:
    """Train ``settings`` and judge the best epoch by the test split once, unless that was done before.

    Returns:
        ``metrics`` on the test split, ``epochs``: processor seconds of each (training and validation), ``steps`` an
        epoch, and ``validation``: processor seconds of one validation without whole scenes.
    """
    from raytune_planes.settings import make_config
    from raytune_planes.tracking.files import WEIGHTS
    from raytune_planes.training.checkpoint import Checkpoint, load
    from raytune_planes.training.stages import train_stages
    from raytune_planes.training.trainer import Trainer
    from raytune_planes.training.workers import LocalWorker

    folder = folder_of(KEPT, settings, seed)
    kept = folder / "result.json"
    if kept.is_file():
        result: Result = json.loads(kept.read_bytes())
        return result
    task = task_of("encoders", {"stopping.rule": "none", **settings}, data, folder)
    config = make_config(*task.layers, {"seed": seed}, source="encoders")
    ended = [time.process_time()]

    def keep(_: EpochRecord, checkpoint: Checkpoint) -> None:
        checkpoint.save(folder)
        ended.append(time.process_time())

    end, reason = train_stages(config, task.supply, task.goal, report=keep)
    assert end is not End.FAILED, reason
    trainer = Trainer(config, *task.supply(config), LocalWorker(config.devices.vision))
    trainer.use(load(folder / WEIGHTS)["weights"])
    trainer.begin()  # validation by stored features, as in training
    began = time.process_time()
    trainer.evaluate("val", scenes=False)
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


def _cells(results: Sequence[Result]) -> tuple[str, ...]:
    cells = []
    for key in METRICS:
        values = [100 * r["metrics"][key] for r in results]
        mean = statistics.fmean(values)
        if len(values) < LEAST:
            cells.append(f"{mean:.1f}")
            continue
        cells.append(f"{mean:.1f} ± {half_width(values):.1f}")
    return tuple(cells)


def _aims(found: Mapping[str, Mapping[str, Sequence[Result]]]) -> list[Aim]:
    return [
        Aim(f"{budget}: {key}", statistics.fmean(r["metrics"][key] for r in found[budget][TUNED]), limit, at_least=True)
        for budget, limits in AIMS.items()
        if TUNED in found.get(budget, {})
        for key, limit in zip(METRICS, limits, strict=True)
    ]
