"""A worker of a Ray Train group, as the training loop sees it: its place, its device, and two exchanges."""

from __future__ import annotations

import socket
from typing import Any

import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from torch import Tensor

from raytune_planes.training.cards import limit_memory
from raytune_planes.training.workers import LocalWorker, Watch, Worker, pick_device, unwatched, why_no_gpu
from raytune_planes.tuning.failures import UnusableCard


def make_worker(workers: int, device: str, *, holds_card: bool = False, share: float = 1.0) -> Worker:
    """This process among ``workers``; ``device`` is the setting ``devices.vision``. Call inside the training function.

    ``holds_card``: whether Ray gave it a share of a GPU of whose card it knows; ``share``: how much of one, which is
    then the most that it takes of the card's memory.

    Raises:
        UserError: ``cuda`` was asked for and this process sees none.
        UnusableCard: it holds a card that torch cannot use: on processors it would silently take many times as long.
    """
    if holds_card and device == "auto" and (why := why_no_gpu()):
        raise UnusableCard(
            f"this trial holds a share of a GPU on {socket.gethostname()}, but torch cannot use it ({why}); mend that, "
            "or train on processors with --gpus-per-worker 0"
        )
    worker: Worker = RayWorker(device) if workers > 1 else LocalWorker(device)
    limit_memory(worker.device, share if holds_card else 1.0)
    return worker


def backend(device: str, nccl: bool) -> str:
    """nccl where every worker has a GPU to itself; it refuses two ranks on one GPU, gloo does not."""
    return "nccl" if nccl and device != "cpu" else "gloo"


class RayWorker:
    """One of several processes that Ray Train started and joined in a process group."""

    watch: Watch = staticmethod(unwatched)

    def __init__(self, device: str) -> None:
        context = ray.train.get_context()
        self.rank: int = context.get_world_rank()
        self.world: int = context.get_world_size()
        device_now = pick_device(device)
        self.device: torch.device = ray.train.torch.get_device() if device_now.type == "cuda" else device_now

    def sum(self, values_N: Tensor) -> Tensor:
        """The element-wise sum over all workers."""
        summed = values_N.to(self.device).clone()
        dist.all_reduce(summed)
        return summed.to(values_N.device)

    def gather(self, rows_BD: Tensor) -> Tensor:
        """The rows of all workers in rank order, [world x B, D]; every worker brings equally many."""
        gathered: Tensor = _Gather.apply(rows_BD, self.rank, self.world)
        return gathered


class _Gather(torch.autograd.Function):
    """All-gather with gradients, in one exchange each way."""

    @staticmethod
    def forward(ctx: Any, rows_BD: Tensor, rank: int, world: int) -> Tensor:
        ctx.rank, ctx.count = rank, len(rows_BD)
        gathered = rows_BD.new_zeros(world * len(rows_BD), *rows_BD.shape[1:])
        if _has_gather():
            dist.all_gather_into_tensor(gathered, rows_BD.contiguous())
            return gathered
        gathered[rank * len(rows_BD) : (rank + 1) * len(rows_BD)] = rows_BD
        dist.all_reduce(gathered)
        return gathered

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        # Every worker's loss depends on every row, and gradients are divided by the number of workers afterwards.
        if _has_gather():
            own = gradients[0].new_empty(ctx.count, *gradients[0].shape[1:])
            dist.reduce_scatter_tensor(own, gradients[0].contiguous())
            return own, None, None
        summed = gradients[0].clone()
        dist.all_reduce(summed)
        return summed[ctx.rank * ctx.count : (ctx.rank + 1) * ctx.count], None, None


def _has_gather() -> bool:
    """Whether the group's backend gathers and scatters tensors of a GPU; gloo adds them up alone."""
    return dist.get_backend() == "nccl"
