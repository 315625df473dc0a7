"""Which tasks' answers the weighted terms train, found on two images of each dataset before training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from raytune_planes.datasets.loaders import Batch
from raytune_planes.errors import UserError
from raytune_planes.tasks.outputs import tensors

Judge = Callable[[Batch], tuple[dict[str, Any], dict[str, Tensor]]]


def measured_only(
    batches: Iterable[Batch], judge: Judge, weights: Mapping[str, float], frozen: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """The tasks whose answers no weighted term trains, by dataset. Autograd is asked, so that no list of which loss
    reads which answer can be wrong.

    Args:
        batches: One of each dataset, as training sees it; two of its images are enough.
        judge: What each task answers to a batch, and the terms of its loss, with their gradients.
        weights: Of each term in the total, by ``<dataset>/<term>``.
        frozen: The parts of the model that learn nothing, for the error.

    Raises:
        UserError: terms that have a weight give no gradient to any parameter.
    """
    out, idle = {}, list[str]()
    for batch in batches:
        outputs, losses = judge(batch.pieces(max(1, len(batch) // 2))[0])
        weighted = [task.split("/") for task, weight in weights.items() if weight > 0]
        tasks = {f"{name}/{term}": losses.get(term) for name, term in weighted if name == batch.dataset}
        learning = {task: loss for task, loss in tasks.items() if loss is not None and loss.requires_grad}
        idle += tasks.keys() - learning.keys()
        trained = set[str]().union(*(_trained(outputs, loss) for loss in learning.values()))
        out[batch.dataset] = tuple(
            name for name, answer in outputs.items() if answer is not None and name not in trained
        )
    if idle:
        raise UserError(_without_gradient(sorted(idle), ", ".join(frozen)))
    return out


def _trained(outputs: Mapping[str, Any], loss: Tensor) -> set[str]:
    """The tasks whose answers a gradient of ``loss`` reaches."""
    with_gradient = [(name, t) for name, answer in outputs.items() for t in tensors(answer) if t.requires_grad]
    gradients = torch.autograd.grad(loss, [t for _, t in with_gradient], retain_graph=True, allow_unused=True)
    return {name for (name, _), gradient in zip(with_gradient, gradients, strict=True) if gradient is not None}


def _without_gradient(tasks: Sequence[str], frozen: str) -> str:
    terms: dict[str, list[str]] = {}
    for task in tasks:
        name, term = task.split("/")
        terms.setdefault(term, []).append(name)
    untrained = "; ".join(f"losses.{term}.weight for {', '.join(names)}" for term, names in terms.items())
    why = (
        f"freeze = '{frozen}' holds all parts of the model that they would train; take a part out of freeze"
        if frozen
        else "what they compute is detached from the model's weights; make it differentiable"
    )
    zero = ", ".join(f"losses.{term}.weight" for term in terms)
    return f"these terms have a weight above 0 and train no weight of the model: {untrained}: {why}, or set {zero} to 0"
