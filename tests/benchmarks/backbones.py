"""What each image encoder costs: forward and backward of the whole model, beside the default encoder, one by one."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch

from raytune_planes.config import Backbone
from raytune_planes.encoders import BACKBONES
from tests.benchmarks import workload
from tests.benchmarks.loop import Task
from tests.benchmarks.measuring import in_turn, ratio
from tests.benchmarks.tables import Table

KINDS = tuple(BACKBONES)
DEFAULT = Backbone().kind
QUICK = (DEFAULT, "resnet18", "efficientnet_lite0", "vit_b_16")
BATCH = 8


def build(kind: str, sharing: str = "trunk") -> tuple[Task, Callable[[], None]]:
    """The default model with the encoder ``kind``, random weights, and a step of it on 64-pixel pictures with masks.

    A step is forward, all losses and backward, without the optimiser; gradients are left for who asks.
    """
    settings: dict[str, Any] = {"model__backbone__kind": kind, "model__sharing": sharing, "budget__batch_size": BATCH}
    config = workload.config(**settings)
    data = workload.pictures(config, images=2 * BATCH)
    task = Task(config, data, workload.prompts(data))
    masked = next(name for name, arrays in data.items() if arrays.info.has_masks)
    batch = task.streams[masked].batch(0)

    def step() -> None:
        task.optimizer.zero_grad(set_to_none=True)
        loss, _ = task.loss(batch)
        loss.backward()

    return task, step


def measure(quick: bool) -> Table:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rounds = 3 if quick else 7
    figures: dict[str, dict[str, float]] = {}
    try:
        _, default = build(DEFAULT)
        for kind in QUICK if quick else KINDS:
            task, step = build(kind)  # one at a time: all together would fill the memory of a small machine
            seconds = in_turn({"default": default, "kind": step}, rounds)
            figures[kind] = {
                "ratio": ratio(seconds["kind"], seconds["default"]),
                "milliseconds": statistics.median(seconds["kind"]) / BATCH * 1e3,
                "parameters": sum(p.numel() for p in task.model.parameters()),
            }
    finally:
        torch.set_num_threads(threads)
    rows = [
        (kind, f"x{f['ratio']:.1f}", f"{f['milliseconds']:.1f}", f"{f['parameters'] / 1e6:.2f}")
        for kind, f in figures.items()
    ]
    header = ("encoder", "cost of an image", "ms an image", "million parameters")
    notes = (
        f"forward and backward of the whole model, batches of {BATCH} pictures of 64 px with masks, one thread",
        f"median of {rounds} rounds in turn with the default; its own line tells how far chance reaches",
    )
    return Table("backbones", header, rows, figures, notes)
