"""What each value of ``model.sharing`` costs, and gains on pictures in ``RAYTUNE_PLANES_PICTURES``."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import torch

from tests.benchmarks import backbones
from tests.benchmarks.gains import compared, train_one
from tests.benchmarks.measuring import in_turn, ratio
from tests.benchmarks.tables import Table
from tests.benchmarks.trainings import METRICS, SEEDS, Variants, chosen, pictures, train_all

KINDS = ("trunk", "adapters", "stage", "own")
FROZEN = {
    "model.backbone.kind": "efficientnet_lite0",
    "model.backbone.weights": "pretrained",
    "model.backbone.freeze": True,
    "model.backbone.views": 4,
}
GROUPS: Mapping[str, tuple[str, Variants]] = {
    "default": ("residual", {kind: {} if kind == "trunk" else {"model.sharing": kind} for kind in KINDS}),
    "Lite0, pretrained, frozen": (
        "efficientnet_lite0",
        {"trunk": FROZEN, "adapters": {**FROZEN, "model.sharing": "adapters"}},
    ),
}
"""Network -> its kind, and the settings by label."""


def measure(quick: bool) -> Table:
    """Raises Missing when the pictures are not here. ``--quick``: one seed, and the default network alone."""
    data, seeds = pictures(), SEEDS[:1] if quick else SEEDS
    rows: list[tuple[str, ...]] = []
    figures: dict[str, Any] = {}
    for network, (kind, variants) in GROUPS.items():
        if quick and figures:
            break
        costs = cost(kind, tuple(variants), rounds=3 if quick else 15)
        trained = train_all(f"sharing, {network}", train_one, chosen(variants), seeds, data, workers=1)
        found = {label: [result.get("metrics", {}) for result in results] for label, results in trained.items()}
        figures[network] = {
            label: {**costs[label], **{key: [r.get(key) for r in found[label]] for key in METRICS}} for label in found
        }
        for label, mine in found.items():
            _, *cells = compared(label, mine, found["trunk"])
            own = costs[label]
            paid = f"x{own['ratio']:.2f}", f"{own['parameters'] / 1e6:.2f}", f"{own['own'] / 1e6:.3f}"
            rows.append((network, label, *cells, *paid))
    notes = (
        f"11,520 samples, test split, best epoch by validation, {len(seeds)} seeds. The first row of a network gives",
        "means, the others differences from it seed by seed, with the 95 % interval of their mean, in points.",
        "Cost: forward and backward of the whole model with the encoder learning, beside the shared trunk, in turn.",
    )
    header = ("network", "sharing", "PlanesNet", "HRPlanes IoU", "fine-grained", "cost", "million", "of one dataset")
    return Table("sharing", header, rows, figures, notes)


def cost(kind: str, labels: tuple[str, ...], rounds: int) -> dict[str, dict[str, float]]:
    """Of the encoder ``kind`` by ``model.sharing``: ``ratio`` to the shared trunk in processor time of an image,
    ``parameters`` of the whole model, and ``own``: those of its encoder that are of one dataset alone."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        built = {label: backbones.build(kind, label) for label in labels}
        seconds = in_turn({label: step for label, (_, step) in built.items()}, rounds)
    finally:
        torch.set_num_threads(threads)
    return {
        label: {
            "ratio": ratio(seconds[label], seconds["trunk"]),
            "milliseconds": statistics.median(seconds[label]) / backbones.BATCH * 1e3,
            "parameters": sum(p.numel() for p in task.model.parameters()),
            "own": task.model.own_parameters("fgvc"),
        }
        for label, (task, _) in built.items()
    }
