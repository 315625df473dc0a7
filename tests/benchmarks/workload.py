"""The work that loops are measured on: random pictures of the default sizes, the default model, whole batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Arrays, Info
from raytune_planes.settings import make_config

CLASSES = {"planesnet": 2, "hrplanes": 2, "fgvc": 100}
TEXT_WIDTH = 384


def config(**settings: Any) -> TrialConfig:
    """The defaults, on the CPU, with ``settings`` whose dots are written as double underscores."""
    return make_config({"devices.vision": "cpu"}, {k.replace("__", "."): v for k, v in settings.items()})


def pictures(settings: TrialConfig, images: int = 1200, seed: int = 0) -> dict[str, Arrays]:
    """Noise: what a step costs does not depend on what the pictures show."""
    rng = np.random.default_rng(seed)
    out: dict[str, Arrays] = {}
    for name, dataset in settings.active.items():
        side, classes = dataset.image_size, CLASSES[name]
        names = tuple(f"class {i}" for i in range(classes))
        info = Info(name, names, names, has_masks=name == "hrplanes", top_k=5 if classes > 5 else 0)
        masks = rng.integers(0, 2, (images, side, side), dtype=np.uint8) if info.has_masks else None
        cuts = np.split(np.arange(images), [images * 8 // 10, images * 9 // 10])
        out[name] = Arrays(
            info,
            rng.integers(0, 256, (images, side, side, 3), dtype=np.uint8),
            np.arange(images) % classes,
            masks,
            dict(zip(("train", "val", "test"), cuts, strict=True)),
            f"noise-{name}",
            True,
        )
    return out


def prompts(data: Mapping[str, Arrays], seed: int = 7) -> dict[str, np.ndarray]:
    """A unit row for every class."""
    rng = np.random.default_rng(seed)
    rows = {name: rng.normal(size=(len(a.info.classes), TEXT_WIDTH)) for name, a in data.items()}
    return {name: (r / np.linalg.norm(r, axis=1, keepdims=True)).astype(np.float32) for name, r in rows.items()}
