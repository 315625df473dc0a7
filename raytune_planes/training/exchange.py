"""What several workers exchange of the model: its first weights, and after each backward pass the gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from raytune_planes.errors import UserError
from raytune_planes.training.kernels import each
from raytune_planes.training.workers import Worker


@torch.no_grad()
def begin_alike(model: nn.Module, worker: Worker) -> None:
    """Give every worker the weights of the first one: hosts of different kinds may draw others from one seed."""
    if worker.world == 1:
        return
    parameters = list(model.parameters())
    flat_P, views = _bucket(parameters)
    if worker.rank == 0:
        each("copy_", views, parameters)
    each("copy_", parameters, _views(worker.sum(flat_P), parameters))


class Gradients:
    """Averages the gradients of ``parameters`` over the workers, in one exchange.

    A step trains one dataset, so most heads have no gradient. Which parameters have one depends on the datasets of the
    move alone, whose order is the same on every worker: it is agreed on when a set of datasets comes for the first
    time, and not looked for again; one that gets a gradient later is refused. The exchange follows the backward pass
    instead of running beside it, as that of DistributedDataParallel does, which in turn goes through the graph of every
    step for what is unused.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], worker: Worker) -> None:
        self._parameters, self._worker = list(parameters), worker
        self._moved: dict[frozenset[str], list[nn.Parameter]] = {}

    def average(self, datasets: Iterable[str]) -> None:
        """Put the mean over the workers in place of each gradient, which are those of batches of ``datasets``.

        What has no gradient on any worker is left without one, so that the optimiser does not move it.

        Raises:
            UserError: a parameter has a gradient that none had when these datasets came first: the workers' weights
                would part.
        """
        if self._worker.world == 1:
            return
        key = frozenset(datasets)
        if key not in self._moved:
            self._moved[key] = self._with_gradient()
        moved = self._moved[key]
        if sum(p.grad is not None for p in self._parameters) > sum(p.grad is not None for p in moved):
            raise UserError(
                f"a loss of {', '.join(sorted(key))} trains parameters now that it did not train in its first batch; "
                "with several workers it must reach the same ones in every batch: weight a part by 0 in place of "
                "leaving it out, or train with --workers 1"
            )
        if not moved:
            return
        flat_P, views = _bucket(moved)
        each("copy_", views, [torch.zeros_like(p) if p.grad is None else p.grad for p in moved])
        mean_P = self._worker.sum(flat_P).div_(self._worker.world)
        for parameter, gradient in zip(moved, _views(mean_P, moved), strict=True):
            parameter.grad = gradient

    def _with_gradient(self) -> list[nn.Parameter]:
        """The parameters that have a gradient on any worker."""
        has_P = torch.tensor([p.grad is not None for p in self._parameters], dtype=torch.float32)
        return [p for p, count in zip(self._parameters, self._worker.sum(has_P).tolist(), strict=True) if count]


def _bucket(parameters: Sequence[nn.Parameter]) -> tuple[Tensor, list[Tensor]]:
    """Zeros for all of them in one piece of memory, and its parts that have their shapes and memory layouts."""
    first = parameters[0]
    flat_P = torch.zeros(sum(p.numel() for p in parameters), dtype=first.dtype, device=first.device)
    return flat_P, _views(flat_P, parameters)


def _views(flat_P: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """Parts of ``flat_P`` with the shapes and memory layouts of ``parameters``, each of which lies in one piece."""
    parts = flat_P.split([p.numel() for p in parameters])
    return [
        part.as_strided(p.shape, p.stride(), part.storage_offset()) for part, p in zip(parts, parameters, strict=True)
    ]
