"""What each augmentation costs beside the default one, in batches of 32, and how its cost grows with strength."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import torch

from raytune_planes.config import Augment, Dataset, Policy
from raytune_planes.datasets.base import Arrays, Info
from raytune_planes.datasets.loaders import TrainStream
from tests.benchmarks.measuring import in_turn, ratio
from tests.benchmarks.tables import Aim, Table

BATCH, SIDES = 32, (24, 64)
OFF: dict[str, Any] = {"flips": False, "rotate": 0, "scale": 0, "shift": 0, "color": 0}
RAND, AUTO = "randaugment", "autoaugment"

WAYS: dict[str, Augment] = {
    "the default": Augment(),
    "none at all": Augment(**OFF),
    "+ shear": Augment(shear=15),
    "+ noise": Augment(noise=0.05),
    "+ erase": Augment(erase=0.2),
    "+ elastic": Augment(elastic=0.02),
    "+ elastic, smoothness 0.02": Augment(elastic=0.02, elastic_smoothness=0.02),
    "+ elastic, smoothness 0.2": Augment(elastic=0.02, elastic_smoothness=0.2),
    "+ blur of 0.05": Augment(blur=0.05),
    "+ blur of 0.1": Augment(blur=0.1),
    "+ blur of 0.3": Augment(blur=0.3),
    "+ edges": Augment(edges=0.5),
    "+ morphology": Augment(morphology=0.5),
    "+ morphology, radius 4": Augment(morphology=0.5, morphology_radius=4),
    "+ mixup": Augment(mixup=0.4),
    "+ cutmix": Augment(cutmix=1.0),
    **{f"+ {RAND}, number {n}": Augment(policy=Policy(kind=RAND, number=n)) for n in (1, 2, 4)},  # type: ignore[arg-type]
    f"+ {RAND}, magnitude 1": Augment(policy=Policy(kind=RAND, magnitude=1)),  # type: ignore[arg-type]
    f"+ {RAND}, magnitude 20": Augment(policy=Policy(kind=RAND, magnitude=20)),  # type: ignore[arg-type]
    f"+ {AUTO}": Augment(policy=Policy(kind=AUTO)),  # type: ignore[arg-type]
}
"""All but the first two are added to the default."""


def stream(augment: Augment, side: int) -> TrainStream:
    """Random pictures with masks, in memory."""
    random, count = np.random.default_rng(0), 4 * BATCH
    images = random.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    splits = {"train": np.arange(count), "val": np.arange(0), "test": np.arange(0)}
    info = Info("noise", ("a", "b"), ("a", "b"), has_masks=True)
    arrays = Arrays(info, images, np.arange(count) % 2, images[..., 0] // 128, splits, fingerprint="0" * 32)
    return TrainStream(arrays, Dataset(augment=augment), BATCH, seed=0)


def measure(quick: bool) -> Table:
    torch.set_num_threads(1)
    rounds, batches = (3, 2) if quick else (9, 8)
    costs: dict[int, dict[str, list[float]]] = {}
    for side in SIDES:
        streams = {name: stream(augment, side) for name, augment in WAYS.items()}
        costs[side] = in_turn(
            {name: lambda s=s: [s.batch(i) for i in range(batches)] for name, s in streams.items()}, rounds
        )  # type: ignore[misc]
    first = next(iter(WAYS))
    ratios = {side: {name: ratio(took, costs[side][first]) for name, took in costs[side].items()} for side in SIDES}
    micros = {
        side: {name: statistics.median(took) / batches / BATCH * 1e6 for name, took in costs[side].items()}
        for side in SIDES
    }
    rows = [(name, *(f(name, side) for side in SIDES for f in _cells(ratios, micros))) for name in WAYS]
    header = ("augmentation", *(text for side in SIDES for text in (f"at {side} px", "us an image")))
    worst = max(ratios[64][name] for name in WAYS)
    aims = [Aim("dearest augmentation / the default, 64 px", worst, 10)]
    figures = {str(side): {"ratio": ratios[side], "microseconds": micros[side]} for side in SIDES}
    return Table("augmentations", header, rows, figures, ("batches of 32 with masks, one thread",), aims)


def _cells(ratios: Any, micros: Any) -> tuple[Any, Any]:
    return (lambda name, side: f"x{ratios[side][name]:.2f}"), (lambda name, side: f"{micros[side][name]:.0f}")
