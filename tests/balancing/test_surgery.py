"""PCGrad and CAGrad against their papers' equations on small cases, and what the trainer does with them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from raytune_planes.balancing.surgery import Surgery, cagrad, pcgrad
from raytune_planes.config import Balancing
from raytune_planes.errors import UserError
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import toy_config, toy_data, toy_prompts
from tests.training.test_loop import Recorder, run

PCGRAD, CAGRAD = Balancing(surgery="pcgrad"), Balancing(surgery="cagrad", cagrad_c=0.5)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_pcgrad_by_hand() -> None:
    # g1 g2 = -1: g1 + 1/2 g2 = (0.5, 0.5) and g2 + g1 = (0, 1).
    assert pcgrad(torch.tensor([[1.0, 0.0], [-1.0, 1.0]]), PCGRAD, rng()).tolist() == [0.5, 1.5]
    assert pcgrad(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), PCGRAD, rng()).tolist() == [2.0, 1.0]
    assert pcgrad(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), PCGRAD, rng()).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("seed", range(5))
def test_pcgrad_is_the_papers_algorithm(seed: int) -> None:
    gradients_KP = torch.randn(4, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    g, random, expected = gradients_KP.numpy(), rng(seed), np.zeros(6)
    for i in range(4):  # algorithm 1
        own = g[i].copy()
        for j in random.permutation(4):
            if i != j and own @ g[j] < 0:
                own = own - (own @ g[j]) / (g[j] @ g[j]) * g[j]
        expected += own
    np.testing.assert_allclose(pcgrad(gradients_KP, PCGRAD, rng(seed)).numpy(), expected, rtol=1e-9)


def test_cagrad_by_hand() -> None:
    # Perpendicular and equally long: the worst off are both, so the mean (1, 1) grows by c.
    assert cagrad(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), CAGRAD, rng()).tolist() == pytest.approx([1.5, 1.5], rel=1e-5)
    # c = 0 is the mean itself.
    none = Balancing(surgery="cagrad", cagrad_c=0.0)
    assert cagrad(torch.tensor([[3.0, 0.0], [-1.0, 1.0]]), none, rng()).tolist() == pytest.approx([2.0, 1.0])


@pytest.mark.parametrize("seed", range(6))
def test_cagrad_is_best_for_the_worst_off_within_its_ball(seed: int) -> None:
    """Equation 3: max over |d - g0| <= c |g0| of the least g_k d, here by trying 20,000 directions."""
    tasks_KP = torch.randn(3, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found_P = cagrad(tasks_KP / 3, CAGRAD, rng())  # batches are averaged
    mean_P = tasks_KP.mean(0)
    radius = 0.5 * float(mean_P.norm())
    assert float((found_P - mean_P).norm()) == pytest.approx(radius, rel=1e-6)
    angle_A = torch.linspace(0, 2 * math.pi, 20_000, dtype=torch.float64)
    tried_AP = mean_P + radius * torch.stack([angle_A.cos(), angle_A.sin()], 1)
    best = float((tried_AP @ tasks_KP.T).min(1).values.max())
    assert float((tasks_KP @ found_P).min()) == pytest.approx(best, rel=1e-3, abs=1e-4)


def collected(settings: Balancing, *gradients: tuple[str, list[float | None]]) -> list[Tensor | None]:
    parameters = [nn.Parameter(torch.zeros(1)) for _ in gradients[0][1]]
    surgery = Surgery(parameters, settings, seed=0)
    for dataset, values in gradients:
        for parameter, value in zip(parameters, values, strict=True):
            parameter.grad = None if value is None else torch.tensor([value])
        surgery.take(dataset)
    surgery.put(1)
    return [None if p.grad is None else p.grad.clone() for p in parameters]


def test_batches_of_a_dataset_are_one_gradient_and_what_is_of_one_dataset_is_left_alone() -> None:
    # Shared: the first two. a: (0.5 + 0.5, 0), b: (-1, 1), as by hand; then a head of each, and one that rests.
    one, other = ("a", [0.5, 0.0, 3.0, None, None]), ("b", [-1.0, 1.0, None, 4.0, None])
    found = collected(PCGRAD, one, other, ("a", [0.5, 0.0, 3.0, None, None]))
    assert [None if g is None else g.item() for g in found] == [0.5, 1.5, 6.0, 4.0, None]


def test_a_move_of_one_dataset_is_the_plain_gradient() -> None:
    found = collected(CAGRAD, ("a", [1.0, -2.0]), ("a", [1.0, 5.0]))
    assert [None if g is None else g.item() for g in found] == [2.0, 3.0]


def test_without_surgery_gradients_stay_where_they_are() -> None:
    assert collected(Balancing(), ("a", [1.0]))[0] == torch.tensor([1.0])


@pytest.mark.parametrize("rule", ["pcgrad", "cagrad"])
def test_a_training_with_surgery_takes_other_moves_and_resumes_bit_for_bit(tmp_path: Path, rule: str) -> None:
    settings: dict[str, Any] = {"optim__accumulate": 3, "budget__epochs": 2, "stopping__rule": "none"}
    whole, plain, first, second = Recorder(), Recorder(), Recorder(tmp_path, stop_after=1), Recorder()
    config = toy_config(balancing__surgery=rule, **settings)
    run(config, whole)
    run(config, first)
    run(config, second, resume=tmp_path / "last.pt")
    assert first.metrics + second.metrics == whole.metrics
    run(toy_config(**settings), plain)
    assert plain.metrics != whole.metrics


def test_a_projected_move_harms_no_dataset_of_it_to_first_order() -> None:
    """Of two datasets: what PCGrad's move does to each loss of its own batch is no increase."""
    config = toy_config(
        balancing__surgery="pcgrad", optim__accumulate=2, optim__clip=0.0, datasets__hrplanes__enabled=False
    )
    trainer = Trainer(config, toy_data(), toy_prompts(), LocalWorker("cpu"))
    trainer.begin()
    taken: dict[str, list[Tensor | None]] = {}
    for name in ("planesnet", "fgvc"):
        trainer.optimizer.zero_grad()
        _, losses = trainer._forward.judge(trainer._streams[name].batch(0))
        (torch.stack(list(losses.values())).sum() / 2).backward()
        taken[name] = [None if p.grad is None else p.grad.clone() for p in trainer.model.parameters()]
        trainer._surgery.take(name)
    trainer._surgery.put(1)
    joint = [p.grad for p in trainer.model.parameters()]
    for own in taken.values():
        pairs = [(a, b) for a, b in zip(own, joint, strict=True) if a is not None and b is not None]
        assert sum(float((a * b).sum()) for a, b in pairs) >= -1e-7


def test_surgery_needs_gradients_of_several_batches() -> None:
    with pytest.raises(UserError, match=r"balancing\.surgery = pcgrad .* set optim\.accumulate to 2 or more"):
        toy_config(balancing__surgery="pcgrad")
