"""What image encoders find in whole scenes, of the one dataset in ``RAYTUNE_PLANES_PICTURES`` that has them."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.tables import Table
from tests.benchmarks.trainings import SEEDS, Result, Variants, chosen, folder_of, pictures, task_of, train_all

KEPT = Path("results/scenes")
"""One folder a training, so that the benchmark goes on where it was stopped."""
DATASET = "hrplanes"
BASE: Mapping[str, Any] = {
    "datasets.planesnet.enabled": False,
    "datasets.fgvc.enabled": False,
    "losses.detection.weight": 1.0,
    "stopping.rule": "none",
    "budget.epochs": 4,
    "budget.steps_per_epoch": 80,
    "budget.batch_size": 32,
    "budget.scene_epochs": 0,
}
"""10,240 samples of tiles with boxes and masks."""
ENCODERS: Variants = {
    "default, from scratch": {},
    "EfficientNet-Lite0, pretrained, tuned": {
        "model.backbone.kind": "efficientnet_lite0",
        "model.backbone.weights": "pretrained",
    },
}
SPLITS = ("val", "test")
METRICS = ("scene_iou", "scene_ap50", "scene_map", "count_error", "count_error_share")


def measure(quick: bool) -> Table:
    """Raises Missing when the pictures are not here. ``--quick`` takes one seed."""
    data, seeds = pictures(), SEEDS[:1] if quick else SEEDS
    keys = [f"test/{DATASET}/{name}" for name in METRICS]
    # One after the other: what runs beside a training changes its processor time.
    found = train_all("scenes", train_one, chosen(ENCODERS), seeds, data, workers=1, keys=keys)
    rows = [
        (split, label, *(_cell([r["metrics"][f"{split}/{DATASET}/{name}"] for r in results]) for name in METRICS))
        for split in SPLITS
        for label, results in found.items()
    ]
    constant = next(iter(found.values()))[0]["constant"]
    cost = (f"{label}: {statistics.fmean(r['seconds'] for r in results):.0f} s" for label, results in found.items())
    notes = (
        f"Weights of the last epoch, mean of {len(seeds)} seeds, in brackets each; error of the count in planes.",
        "Always telling the training scenes' mean is off by "
        + ", ".join(f"{constant[split]:.1f} planes ({split})" for split in SPLITS),
        f"Processor time of training and validation: {', '.join(cost)}",
    )
    header = ("split", "encoder", "IoU", "AP50", "mAP50-95", "error of the count", "of all planes")
    return Table("scenes", header, rows, {"results": found}, notes)


def train_one(settings: dict[str, Any], seed: int, data: Path) -> Result:
    """Train ``settings`` and judge the last epoch's weights by whole scenes, unless that was done before.

    Returns:
        ``metrics`` on the validation and the test split, ``seconds`` of processor time of the training, and
        ``constant``: by split, the error of always counting as many planes as a training scene has on average.
    """
    import torch

    from raytune_planes.settings import make_config
    from raytune_planes.training.loop import run_epoch
    from raytune_planes.training.trainer import Trainer
    from raytune_planes.training.workers import LocalWorker

    folder = folder_of(KEPT, {**BASE, **settings}, seed)
    kept = folder / "result.json"
    if kept.is_file():
        result: Result = json.loads(kept.read_bytes())
        return result
    task = task_of("scenes", {**BASE, **settings}, data, folder)
    config = make_config(*task.layers, {"seed": seed}, source="scenes")
    torch.set_num_threads(config.devices.threads)
    began = time.process_time()
    trainer = Trainer(config, *task.supply(config), LocalWorker(config.devices.vision))
    trainer.begin()
    for _ in range(config.budget.epochs):
        run_epoch(trainer, task.goal)
    seconds = time.process_time() - began
    found = trainer.data[DATASET].scenes
    assert found is not None, f"{DATASET} has whole scenes"
    counts = {split: [len(found.boxes(int(i))) for i in found.splits[split]] for split in ("train", *SPLITS)}
    result = {
        "metrics": {key: value for split in SPLITS for key, value in trainer.evaluate(split).items()},
        "seconds": seconds,
        "constant": {split: constant_error(counts["train"], counts[split]) for split in SPLITS},
    }
    kept.write_text(json.dumps(result))
    return result


def constant_error(train: Sequence[int], there: Sequence[int]) -> float:
    """Mean of |told - there| in planes, where the mean of ``train`` is told of every scene."""
    told = statistics.fmean(train)
    return statistics.fmean(abs(told - count) for count in there)


def _cell(values: Sequence[float]) -> str:
    """The mean, and each value where there are several."""
    digits = 1 if max(values) > 1 else 3
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({', '.join(f'{value:.{digits}f}' for value in values)})"
