"""What a training takes of the card that it runs on: its part of the memory, and figures of each epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import torch

GIB = 2**30
OUTSIDE = 0.75 * GIB
"""What CUDA holds of a card for each process outside of torch's count: its context, kernels and libraries. Assumed; no
GPU was at hand."""


def limit_memory(device: torch.device, share: float) -> None:
    """Let this process take no more than ``share`` in (0, 1] of the memory of an NVIDIA GPU.

    So the growth of one trial fails that trial, and none of those that share the card with it: torch's part of a share
    leaves room for what is ``OUTSIDE``, but is half of it at least.
    """
    if device.type != "cuda":
        return
    if share < 1:
        total = torch.cuda.get_device_properties(device).total_memory
        share = max(share / 2, share - OUTSIDE / total)
    torch.cuda.set_per_process_memory_fraction(min(1.0, share), device.index)  # None: the current one


class CardUse:
    """Figures of one epoch on an NVIDIA GPU; nothing is measured elsewhere."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._since_s = device, time.perf_counter()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def figures(self, images: int) -> Mapping[str, float]:
        """``card/images_per_second`` of ``images`` pictures trained since this began, over all workers, and the
        validation between them; ``card/memory_gib``, the most that this process held; and ``card/busy``, the share of
        the last second in which the card computed for whomever, where nvidia-ml-py is installed."""
        if self._device.type != "cuda":
            return {}
        found = {
            "card/images_per_second": images / (time.perf_counter() - self._since_s),
            "card/memory_gib": torch.cuda.max_memory_reserved(self._device) / GIB,
        }
        busy = _busy(self._device)
        return found if busy is None else found | {"card/busy": busy}


def _busy(device: torch.device) -> float | None:
    try:
        return torch.cuda.utilization(device) / 100
    except _untold():
        return None


def _untold() -> tuple[type[Exception], ...]:
    """What is raised without nvidia-ml-py and by old drivers; and what it raises itself where it is, for instance of a
    part of a GPU (MIG), which has no such figure."""
    library = sys.modules.get("pynvml")
    return ModuleNotFoundError, RuntimeError, *(() if library is None else (library.NVMLError,))
