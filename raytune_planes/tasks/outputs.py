"""What tasks answer is a tensor or a dataclass of tensors: change each tensor, or join those of several batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor


def detached(answer: Any) -> Any:
    """The same without a gradient."""
    return mapped(answer, Tensor.detach)


def tensors(answer: Any) -> list[Tensor]:
    """The tensors that it holds; none of None."""
    if isinstance(answer, Tensor):
        return [answer]
    if is_dataclass(answer) and not isinstance(answer, type):
        return [tensor for f in fields(answer) for tensor in tensors(getattr(answer, f.name))]
    return []


def joined(outputs: Sequence[Any]) -> Any:
    """The answers to several batches as the answer to all their pictures, on the CPU and without a gradient.

    Rows follow each other; what has no rows (a scalar) is the first one's.
    """
    first = outputs[0]
    if isinstance(first, Tensor):
        return torch.cat([a.detach() for a in outputs]).cpu() if first.ndim else first.detach().cpu()
    if is_dataclass(first) and not isinstance(first, type):
        return replace(first, **{f.name: joined([getattr(a, f.name) for a in outputs]) for f in fields(first)})
    return first


def mapped(answer: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The answer with each of its tensors changed."""
    if isinstance(answer, Tensor):
        return change(answer)
    if is_dataclass(answer) and not isinstance(answer, type):
        return replace(answer, **{f.name: mapped(getattr(answer, f.name), change) for f in fields(answer)})
    return answer
