"""A trial in the log format of the published work, for readers and figures made for that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raytune_planes.records import EpochRecord, TrialRecord, metric, split_metric
from raytune_planes.tracking.files import write_whole

NAMES: Mapping[str, Mapping[str, str]] = {
    "train": {
        "cls_loss": "classification_loss",
        "seg_loss": "segmentation_loss",
        "clip_loss": "contrastive_loss",
        "total_loss": "loss",
        "accuracy": "accuracy",
    },
    "val": {"loss": "loss", "accuracy": "accuracy", "seg_loss": "segmentation_loss"},
}
"""Published name -> ours, by split."""


def published_log(trial: TrialRecord) -> list[dict[str, Any]]:
    """One entry per epoch: ``{"epoch", "train": {dataset: {...}}, "val": {dataset: {...}}}``.

    As in the published logs a term that a dataset does not have is 0; a dataset that took no step in an epoch is absent
    from that epoch's ``train``.
    """
    return [{"epoch": e.epoch, **{split: _of_split(split, e) for split in NAMES}} for e in trial.epochs]


def write(trial: TrialRecord, folder: Path, study: str) -> Path:
    """Write ``<folder>/<study>-<trial number>.json`` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{study}-{trial.number:04d}.json"
    write_whole(path, json.dumps(published_log(trial), indent=2) + "\n")
    return path


def _of_split(split: str, epoch: EpochRecord) -> dict[str, dict[str, float]]:
    parts = [p for key in epoch.metrics if (p := split_metric(key)) and p[0] == split and p[1] != "total"]
    datasets = list(dict.fromkeys(dataset for _, dataset, _ in parts))
    found = {
        d: {theirs: epoch.metrics.get(metric(split, d, ours)) for theirs, ours in NAMES[split].items()}
        for d in datasets
    }
    return {
        dataset: {name: 0.0 if value is None else value for name, value in values.items()}
        for dataset, values in found.items()
        if any(value is not None for value in values.values())
    }
