"""What the loop asks of the process it runs in: its place among the others, its device, and three exchanges."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from raytune_planes.errors import UserError


class Worker(Protocol):
    """One of ``world`` processes that train the same model on slices of the same batches."""

    rank: int
    world: int
    device: torch.device

    def prepare(self, model: nn.Module) -> nn.Module:
        """Move ``model`` to the device and, with several workers, average its gradients over them."""
        ...

    def sum(self, values_N: Tensor) -> Tensor:
        """The element-wise sum over all workers of a one-dimensional float64 tensor; the same on every worker."""
        ...

    def gather(self, rows_BD: Tensor) -> Tensor:
        """The rows of all workers, in rank order, [world x B, D]; gradients flow back to this worker's rows."""
        ...


class LocalWorker:
    """The only worker: nothing to exchange."""

    rank = 0
    world = 1

    def __init__(self, device: str = "cpu") -> None:
        self.device = pick_device(device)

    def prepare(self, model: nn.Module) -> nn.Module:
        return model.to(self.device)

    def sum(self, values_N: Tensor) -> Tensor:
        return values_N

    def gather(self, rows_BD: Tensor) -> Tensor:
        return rows_BD


def pick_device(wanted: str) -> torch.device:
    """``auto`` is the GPU where there is one.

    Raises:
        UserError: ``cuda`` was asked for and this process sees none.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "a device setting asks for cuda, but this process sees no GPU; set it to auto or cpu, "
            "or give each trial a share of one with --gpus-per-worker"
        )
    return torch.device(wanted)
