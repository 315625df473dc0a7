"""A study small enough for a test: toy arrays laid out as the decoded cache has them, and a space over them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.sizes import Sizes
from raytune_planes.records import EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.space import Dimension, Space, StudySettings
from raytune_planes.tracking.base import DataDescription
from raytune_planes.training.loop import train
from raytune_planes.tuning.entries import Entry, open_entries
from raytune_planes.tuning.plan import Material, StudyPlan
from tests.toy import FAST, SIDE, toy_config, toy_data, toy_prompts

GOAL = Goal((Objective("val/fgvc/accuracy"), Objective("val/hrplanes/iou")), {"val/planesnet/accuracy": 0.1})


def write_entry(arrays: Arrays, folder: Path) -> None:
    """What ``datasets.cache`` leaves on disk for ``arrays``."""
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", arrays.images_NHWC)
    np.save(folder / "labels.npy", arrays.labels_N)
    np.save(folder / "groups.npy", arrays.groups_N)
    if arrays.masks_NHW is not None:
        np.save(folder / "masks.npy", arrays.masks_NHW)
    if arrays.boxes_NM4 is not None:
        np.save(folder / "boxes.npy", arrays.boxes_NM4)
    for split, index in arrays.splits.items():
        np.save(folder / f"{split}.npy", index)
    about = {"info": asdict(arrays.info), "fingerprint": arrays.fingerprint, "synthetic": True, "warnings": []}
    about["sizes"] = asdict(Sizes.of([(SIDE, SIDE)]))
    about |= {"compressed": {}, "scenes": False}
    (folder / "info.json").write_text(json.dumps(about))


def tiny_material(folder: Path) -> Material:
    """The toy datasets, written below ``folder``."""
    data = toy_data()
    entries = []
    for name, arrays in data.items():
        write_entry(arrays, folder / name)
        entries.append(Entry(name, toy_config().datasets[name].decoded_as, str(folder / name)))
    described = {name: DataDescription(a.fingerprint, a.counts(), True) for name, a in data.items()}
    return Material(tuple(entries), {"minilm": toy_prompts()}, described)


def tiny_plan(folder: Path, *, fixed: Mapping[str, Any] | None = None, trials: int = 3, **changes: Any) -> StudyPlan:
    """A plan of three quick trials over a learning rate, under ``folder``."""
    search = changes.pop("search", (Dimension("optim.lr", "float", 1e-4, 1e-2, log=True),))
    settings = changes.pop("settings", StudySettings(trials=trials, rungs={"enabled": False}))
    space = Space("tiny", "Does it run?", GOAL, {**FAST, **(fixed or {})}, search, settings)
    return StudyPlan(
        name="tiny",
        space=space,
        out=folder / "results",
        material=tiny_material(folder / "cache"),
        settings=settings,
        **changes,
    )


def trained_alone(plan: StudyPlan, trial: TrialRecord) -> list[EpochRecord]:
    """The epochs of the same configuration, trained in this process without a search."""
    config = plan.config(trial.drawn)
    epochs: list[EpochRecord] = []
    data = open_entries(plan.material.entries, config)
    train(config, data, toy_prompts(), GOAL, report=lambda epoch, _: epochs.append(epoch))
    return epochs
