"""A trial in the log format of the published work and in its units, for readers and figures made for that."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raytune_planes.fold_metrics import course
from raytune_planes.records import EpochRecord, TrialRecord, metric, split_metric
from raytune_planes.tracking.files import write_whole

NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("cls_loss", "seg_loss", "clip_loss", "total_loss", "accuracy"),
    "val": ("loss", "accuracy", "seg_loss"),
}
"""The published names, by split."""
SEGMENTATION, CONTRASTIVE = 0.3, 0.5
"""Weights of the published total, ``cls_loss + 0.3 seg_loss + 0.5 clip_loss``."""
CONTRASTIVE_CHANCE = math.log(32)
"""The published contrastive loss at chance level: each picture against the 32 prompts of its batch."""


def published_log(trial: TrialRecord) -> list[dict[str, Any]]:
    """One entry per epoch: ``{"epoch", "train": {dataset: {...}}, "val": {dataset: {...}}}``.

    Losses are in nats whatever the trial was trained with: ``cls_loss`` and the validation ``loss`` are the plain
    cross-entropy of the labels, ``seg_loss`` the mean binary cross-entropy of the mask's pixels, ``total_loss`` has the
    published weights. ``clip_loss`` is our contrastive loss brought to the published scale: ln 32 is chance level;
    equal prompts are no negatives here, so that 0 can be reached, where the published loss ends near 3.

    As in the published logs a term that a dataset does not have is 0; a dataset that took no step in an epoch is absent
    from that epoch's ``train``. Records of an older version hold no cross-entropy: losses that need it are left out.
    Of a trial on every fold it is the training of the first.
    """
    return [{"epoch": e.epoch, **{split: _of_split(split, e) for split in NAMES}} for e in course(trial)]


def write(trial: TrialRecord, folder: Path, study: str) -> Path:
    """Write ``<folder>/<study>-<trial number>.json`` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{study}-{trial.number:04d}.json"
    write_whole(path, json.dumps(published_log(trial), indent=2) + "\n")
    return path


def _of_split(split: str, epoch: EpochRecord) -> dict[str, dict[str, float]]:
    parts = [p for key in epoch.metrics if (p := split_metric(key)) and p[0] == split and p[1] != "total"]
    datasets = list(dict.fromkeys(dataset for _, dataset, _ in parts))
    of_datasets = {d: _of_dataset(split, d, epoch.metrics) for d in datasets}
    return {
        dataset: {name: v for name in NAMES[split] if (v := values[name]) is not None}
        for dataset, values in of_datasets.items()
        if any(values.values())
    }


def _of_dataset(split: str, dataset: str, metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Published name -> value, None where the records do not hold what it takes."""

    def own(name: str) -> float | None:
        return metrics.get(metric(split, dataset, name))

    entropy, segmentation = own("cross_entropy"), own("mask_cross_entropy")
    if segmentation is None and own("segmentation_loss") is None:
        segmentation = 0.0
    clip = CONTRASTIVE_CHANCE * (own("contrastive_loss") or 0.0)
    total = None
    if entropy is not None and segmentation is not None:
        total = entropy + SEGMENTATION * segmentation + CONTRASTIVE * clip
    values = {"seg_loss": segmentation, "clip_loss": clip, "total_loss": total, "accuracy": own("accuracy")}
    return {"cls_loss": entropy, "loss": entropy, **values}
