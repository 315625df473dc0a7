"""What the loop asks of the process it runs in: its place among the others, its device, and two exchanges."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from raytune_planes.errors import UserError

Watch = Callable[[int, int, int, Callable[[], float]], None]
"""(batches of this epoch so far, batches of the epoch, training images of this epoch so far, asks for their loss: on a
GPU that waits for the device)."""


def unwatched(done: int, steps: int, images: int, loss: Callable[[], float]) -> None:
    """Where nobody looks."""


class Worker(Protocol):
    """One of ``world`` processes that train the same model on slices of the same batches."""

    rank: int
    world: int
    device: torch.device
    watch: Watch
    """Told before each move of the weights."""

    def sum(self, values_N: Tensor) -> Tensor:
        """The element-wise sum over all workers of a one-dimensional tensor; the same on every worker."""
        ...

    def gather(self, rows_BD: Tensor) -> Tensor:
        """The rows of all workers, in rank order, [world x B, D]; gradients flow back to this worker's rows."""
        ...


class LocalWorker:
    """The only worker: nothing to exchange."""

    rank = 0
    world = 1
    watch: Watch = staticmethod(unwatched)

    def __init__(self, device: str = "cpu") -> None:
        self.device = pick_device(device)

    def sum(self, values_N: Tensor) -> Tensor:
        return values_N

    def gather(self, rows_BD: Tensor) -> Tensor:
        return rows_BD


def seed_dropout(seed: int, worker: Worker, epoch: int) -> None:
    """Afresh for each epoch, so that a resumed trial needs no generator state; other masks on each worker's slice."""
    seeds = np.random.SeedSequence([seed, worker.rank, epoch])
    torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0] >> np.uint64(1)))


def pick_device(setting: str) -> torch.device:
    """``auto`` is the NVIDIA GPU where there is one.

    Raises:
        UserError: ``cuda`` or ``mps`` was asked for and this process sees none.
    """
    if setting == "auto":
        return torch.device("cpu" if why_no_gpu() else "cuda")
    if setting == "cuda" and (why := why_no_gpu()):
        raise UserError(
            f"a device setting asks for cuda, but this process sees no GPU ({why}); set it to auto or cpu, "
            "or, in tune, give each trial a share of one with --gpus-per-worker"
        )
    if setting == "mps" and not torch.backends.mps.is_available():
        raise UserError(
            "a device setting asks for mps, but torch sees no GPU of Apple's here; set it to auto or cpu, or on such a "
            "Mac install a torch that was built for it"
        )
    return torch.device(setting)


def why_no_gpu() -> str:
    """What torch says of the lack of a GPU, of an old driver for instance; ``""`` where this process sees one."""
    trouble = _trouble()
    return "" if torch.cuda.is_available() else trouble or "torch finds none"


@cache
def _trouble() -> str:
    """What torch warns of when a process asks for a GPU for the first time, which it does once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.is_available()
    for warning in caught:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return " ".join(str(caught[0].message).split())[:300] if caught else ""
