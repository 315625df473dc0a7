"""The arithmetic of a device: the quick one of a GPU, or an exact one that repeats itself."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

import torch

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""What cuBLAS reads, when it starts, to repeat itself: see torch's notes on reproducibility."""


WITHOUT_FLOAT64 = ("mps",)
"""Kinds of devices that have no such numbers."""


def sums_dtype(device: torch.device) -> torch.dtype:
    """What sums over an epoch are kept in: float64, or float32 where a device has no wider numbers."""
    return torch.float32 if device.type in WITHOUT_FLOAT64 else torch.float64


def set_up(device: torch.device, exact: bool) -> None:
    """Choose the kernels of an NVIDIA GPU for this process; on other devices nothing changes.

    Quick: TF32 (10 bits of mantissa) for products of float32, and the quickest convolution for each shape, which is
    measured once. ``exact``: float32 throughout, and kernels that give the same bits each time; an operation that has
    none warns.
    """
    if device.type != "cuda":
        return
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not exact
    torch.backends.cudnn.benchmark = not exact
    if exact:
        os.environ.setdefault(WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(exact, warn_only=True)


def precision(setting: str, exact: bool, device: torch.device) -> str:
    """``float32`` or ``bfloat16``: what the setting ``precision`` means on ``device``.

    ``auto`` is bfloat16 on a GPU whose cores have it, unless ``exact``, and float32 elsewhere.
    """
    if setting != "auto":
        return setting
    low = device.type == "cuda" and not exact and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if low else "float32"


def autocast(device: torch.device, low: bool) -> AbstractContextManager[object]:
    """Within it a forward pass computes in bfloat16 where that is safe if ``low``, else in the numbers it is given."""
    if not low and not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, enabled=low)
