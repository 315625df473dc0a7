"""What a training takes of the card that it runs on: its part of the memory, and figures of each epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch

GIB = 2**30


def limit_memory(device: torch.device, share: float) -> None:
    """Let this process take no more than ``share`` in (0, 1] of the memory of an NVIDIA GPU.

    So the growth of one trial fails that trial, and none of those that share the card with it.
    """
    if device.type == "cuda":
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
    except (ModuleNotFoundError, RuntimeError):  # without nvidia-ml-py, or with a driver that does not tell
        return None
