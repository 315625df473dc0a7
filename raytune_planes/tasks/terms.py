"""The terms of the loss that a batch has, from the outputs of the tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from raytune_planes.arithmetic import autocast
from raytune_planes.datasets.loaders import Batch
from raytune_planes.tasks.implementation import Case, Implementation


def identity(tensor: Tensor) -> Tensor:
    """The gathered batch of a single worker."""
    return tensor


def terms(
    tasks: Mapping[str, Implementation],
    outputs: Mapping[str, Any],
    batch: Batch,
    prompts_KW: Tensor,
    gather: Callable[[Tensor], Tensor] = identity,
    taught: Mapping[str, Any] | None = None,
) -> dict[str, Tensor]:
    """The scalar terms that apply to ``batch``, by task, in float32; ``taught``: see ``Case``."""
    classes = len(prompts_KW)
    with autocast(batch.image_BCHW.device, low=False):
        case = Case(batch, batch.target(classes), prompts_KW, gather, outputs, tasks, taught or {})
        return {name: tasks[name].loss(answer, case) for name, answer in outputs.items() if answer is not None}
