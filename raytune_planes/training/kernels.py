"""Operations over many tensors in one call, which torch names with an underscore: no other file uses such names.

``torch.optim`` is their public door, but its first use imports torch's compiler: 2 s and 900 modules in each process
(torch 2.15), more than a short trial trains. A torch without one of them still trains, one tensor at a time, with a
warning.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)


def each(operation: str, tensors: Sequence[Tensor], *values: Any, **options: Any) -> Sequence[Tensor]:
    """``Tensor.<operation>`` of every tensor: ``each("add_", weights, gradients, alpha=-lr)``.

    Args:
        operation: Name of a method of tensors; one that ends in ``_`` changes them in place.
        values: Its arguments: a sequence has one for each tensor, any other value is for all.
        options: Its named arguments, for all.

    Returns:
        The results, in order.
    """
    together = getattr(torch, f"_foreach_{operation}", None)
    if together is not None:
        done: Sequence[Tensor] | None = together(list(tensors), *values, **options)
        return tensors if done is None else done
    _missing(f"_foreach_{operation}")
    columns = [v if isinstance(v, Sequence) else [v] * len(tensors) for v in values]
    return [getattr(t, operation)(*row, **options) for t, *row in zip(tensors, *columns, strict=True)]


def adamw_(
    weights: Sequence[Tensor],
    gradients: Sequence[Tensor],
    means: Sequence[Tensor],
    squares: Sequence[Tensor],
    steps: Sequence[Tensor],
    *,
    lr: float,
    decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> None:
    """One step of Adam with decoupled decay (Loshchilov & Hutter 2019, algorithm 2), in place.

    Args:
        weights, gradients, means, squares: Of equal shapes, dtypes and memory layouts, on one device.
        steps: Scalars, float32: the number of the step that is made, 1 for the first.
        lr: Learning rate.
        decay: Of the weights, relative to ``lr``.
        betas: Decay rates of the moving averages of gradients and of their squares.
        eps: Added to the root of the squares.
    """
    if hasattr(torch, "_fused_adamw_"):
        torch._fused_adamw_(
            list(weights),
            list(gradients),
            list(means),
            list(squares),
            [],
            list(steps),
            lr=lr,
            beta1=betas[0],
            beta2=betas[1],
            weight_decay=decay,
            eps=eps,
            amsgrad=False,
            maximize=False,
        )
        return
    _missing("_fused_adamw_")
    each("mul_", weights, 1 - lr * decay)
    each("lerp_", means, gradients, 1 - betas[0])
    for weight, gradient, mean, square, step in zip(weights, gradients, means, squares, steps, strict=True):
        square.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
        first, second = (1 - beta**step for beta in betas)
        weight.sub_(lr * (mean / first) / ((square / second).sqrt() + eps))


@cache
def _missing(name: str) -> None:
    """Said once in each process."""
    log.warning(
        "torch %s has no torch.%s: the optimiser updates one tensor at a time, which is slower", torch.__version__, name
    )
