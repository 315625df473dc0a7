"""Workers begin with the same weights, and average exactly the gradients that a move's datasets give."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from raytune_planes.errors import UserError
from raytune_planes.training.exchange import Gradients, begin_alike
from raytune_planes.training.workers import LocalWorker

T = TypeVar("T")


class Pair:
    """What two workers share: each waits until the other has brought its values."""

    def __init__(self) -> None:
        self.barrier, self.brought = threading.Barrier(2, timeout=20), [torch.empty(0)] * 2


class PairWorker(LocalWorker):
    """One of two workers in two threads of this process; ``sizes`` are those of what was added up."""

    world = 2

    def __init__(self, rank: int, pair: Pair) -> None:
        super().__init__("cpu")
        self.rank, self._pair, self.sizes = rank, pair, list[int]()

    def sum(self, values_N: Tensor) -> Tensor:
        self.sizes.append(len(values_N))
        self._pair.brought[self.rank] = values_N.clone()
        self._pair.barrier.wait()
        summed = torch.stack(self._pair.brought).sum(0)
        self._pair.barrier.wait()
        return summed


def on_both(work: Callable[[PairWorker], T]) -> Sequence[T]:
    pair = Pair()
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, [PairWorker(rank, pair) for rank in (0, 1)]))


def test_both_workers_begin_with_the_first_ones_weights() -> None:
    def begun(worker: PairWorker) -> list[Tensor]:
        model = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
        for parameter in model.parameters():
            nn.init.constant_(parameter, worker.rank + 1.0)
        with torch.no_grad():
            model.weight[0, 1, 2, 0] += 4
        begin_alike(model, worker)
        return [p.detach().clone() for p in model.parameters()]

    expected = torch.ones(3, 2, 3, 3)
    expected[0, 1, 2, 0] = 5
    for weight, bias in on_both(begun):
        assert torch.equal(weight, expected)
        assert torch.equal(bias, torch.ones(3))


def test_a_gradient_becomes_the_mean_over_the_workers_and_what_none_of_them_trains_gets_none() -> None:
    def averaged(worker: PairWorker) -> list[Tensor | None]:
        both, one, idle = (nn.Parameter(torch.zeros(shape)) for shape in ((2, 3, 1, 2), (3,), (4,)))
        both = nn.Parameter(both.detach().to(memory_format=torch.channels_last))
        both.grad = torch.arange(12.0).view(2, 3, 1, 2) * (worker.rank + 1)
        one.grad = torch.tensor([2.0, 4.0, 6.0]) if worker.rank else None
        Gradients([both, idle, one], worker).average(["fgvc"])
        assert both.grad is not None
        assert both.grad.stride() == both.stride(), "as the optimiser goes through it"
        return [p.grad for p in (both, one, idle)]

    for both, one, idle in on_both(averaged):
        assert both is not None
        assert one is not None
        assert torch.equal(both, torch.arange(12.0).view(2, 3, 1, 2) * 1.5)
        assert one.tolist() == [1.0, 2.0, 3.0]
        assert idle is None


def test_who_has_a_gradient_is_asked_once_for_each_set_of_datasets() -> None:
    def told(worker: PairWorker) -> list[int]:
        trunk, head, other = (nn.Parameter(torch.zeros(size)) for size in (10, 2, 3))
        gradients = Gradients([trunk, head, other], worker)
        for names, moved in (("a", [head]), ("a", [head]), ("ab", [head, other]), ("ba", [head, other]), ("", [])):
            for parameter in (trunk, head, other):
                parameter.grad = None
            for parameter in [trunk, *moved] if names else []:
                parameter.grad = torch.ones_like(parameter)
            gradients.average(names)
        return worker.sizes

    assert on_both(told) == [[3, 12, 12, 3, 15, 15, 3]] * 2, "3 parameters; then the numbers in those that move"


def test_a_parameter_that_gets_a_gradient_later_is_refused_as_the_workers_would_part() -> None:
    def refused(worker: PairWorker) -> str:
        trunk, head = (nn.Parameter(torch.zeros(2)) for _ in range(2))
        gradients = Gradients([trunk, head], worker)
        trunk.grad = torch.ones(2)
        gradients.average(["fgvc"])
        head.grad = torch.ones(2)
        with pytest.raises(UserError) as refusal:
            gradients.average(["fgvc"])
        return str(refusal.value)

    for said in on_both(refused):
        assert said.startswith("a loss of fgvc trains parameters now that it did not train in its first batch")


@pytest.mark.parametrize("size", [1, 5])
def test_one_worker_alone_keeps_its_gradients_as_they_are(size: int) -> None:
    parameter = nn.Parameter(torch.zeros(size))
    parameter.grad = gradient = torch.ones(size)
    Gradients([parameter], LocalWorker()).average(["fgvc"])
    assert parameter.grad is gradient
