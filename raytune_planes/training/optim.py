"""The optimiser and its learning rate over the budget."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from raytune_planes import config


def make_optimizer(model: nn.Module, extra: Iterable[nn.Parameter], settings: config.Optim) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019); biases, norms and ``extra`` (balancing's own parameters) are not decayed."""
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    free = [*(p for p in model.parameters() if p.ndim < 2), *extra]
    return torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}],
        lr=settings.lr,
    )


def rate(settings: config.Optim, progress: float) -> float:
    """The learning rate when ``progress`` in [0, 1] of the budget is spent."""
    if progress < settings.warmup:
        return settings.lr * (progress + 1e-3) / (settings.warmup + 1e-3)
    if settings.schedule == "constant":
        return settings.lr
    after = (progress - settings.warmup) / (1 - settings.warmup)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, after)))


def set_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = value
