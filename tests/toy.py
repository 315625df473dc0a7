"""Three tiny datasets that a tiny model learns in seconds, for tests of everything above the readers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Arrays, Info
from raytune_planes.datasets.sizes import Sizes
from raytune_planes.settings import make_config

SIDE = 16
INFOS = {
    "planesnet": Info("planesnet", ("nothing", "plane"), ("ground", "a plane")),
    "hrplanes": Info(
        "hrplanes", ("empty", "planes"), ("an empty apron", "planes on an apron"), has_masks=True, has_boxes=True
    ),
    "fgvc": Info(
        "fgvc",
        tuple(f"type {i}" for i in range(6)),
        tuple(f"an aircraft of type {i}" for i in range(6)),
        parents={"family": (0, 0, 1, 1, 2, 2)},
        top_k=5,
    ),
}
SIZES = {
    "planesnet": Sizes.of([(SIDE, SIDE)]),
    "hrplanes": Sizes.of([(300, 260), (320, 320)]),
    "fgvc": Sizes.of([(60, 40), (90, 50)]),
}
"""Of the files that the arrays are said to come from."""
FAST = {
    "model.backbone.width": 8,
    "model.dit.heads": 2,
    "model.decoder.width": 4,
    "budget.epochs": 3,
    "budget.steps_per_epoch": 9,
    "budget.batch_size": 8,
    "datasets.fgvc.view": "overhead",  # bars have no up
    **{f"datasets.{name}.image_size": SIDE for name in INFOS},
    **{f"datasets.{name}.head.width": 16 for name in INFOS},
}


def toy_data(images: int = 48, seed: int = 0) -> dict[str, Arrays]:
    """Noise with a bar whose colour tells the class; masks and boxes are the bar."""
    rng = np.random.default_rng(seed)
    return {name: _arrays(info, images, rng) for name, info in INFOS.items()}


def _arrays(info: Info, images: int, rng: np.random.Generator) -> Arrays:
    classes = len(info.classes)
    labels = np.arange(images) % classes
    pictures = rng.integers(0, 120, (images, SIDE, SIDE, 3), dtype=np.uint8)
    masks = np.zeros((images, SIDE, SIDE), np.uint8)
    boxes = np.zeros((images, 2, 4), np.float32)
    for i, label in enumerate(labels):
        if classes == 2 and label == 0:
            continue
        row = int(rng.integers(2, 11))
        pictures[i, row : row + 3, 3:13] = [250 if (label + 1) & bit else 10 for bit in (1, 2, 4)]
        masks[i, row : row + 3, 3:13] = 1
        boxes[i, 0] = np.array([3, row, 13, row + 3]) / SIDE
    order = rng.permutation(images)
    cuts = (images * 2 // 3, images * 5 // 6)
    splits = dict(zip(("train", "val", "test"), (np.sort(part) for part in np.split(order, cuts)), strict=True))
    return Arrays(
        info,
        pictures,
        labels.astype(np.int64),
        masks if info.has_masks else None,
        splits,
        f"toy-{info.name}",
        True,
        boxes_NM4=boxes if info.has_boxes else None,
        sizes=SIZES[info.name],
    )


def toy_prompts(width: int = 12) -> dict[str, np.ndarray]:
    """A unit row for every class."""
    rng = np.random.default_rng(7)
    rows = {name: rng.normal(size=(len(info.classes), width)) for name, info in INFOS.items()}
    return {name: (r / np.linalg.norm(r, axis=1, keepdims=True)).astype(np.float32) for name, r in rows.items()}


def toy_config(**settings: Any) -> TrialConfig:
    """The fast settings, overridden by ``settings`` whose dots are written as double underscores."""
    return make_config(FAST, _dotted(settings))


def _dotted(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("__", "."): value for name, value in settings.items()}
