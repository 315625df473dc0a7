"""Image-text contrast divided by the chance-level loss."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raytune_planes.tasks.contrastive.loss import contrastive

COLD = torch.tensor(math.log(0.01))
WARM = torch.tensor(math.log(0.5))


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 0, 0, 1], [0, 1, 1, 1, 3, 3]])
def test_images_that_tell_nothing_cost_one(labels: list[int]) -> None:
    prompts_KW = torch.eye(6)[:4]  # the fifth axis is at a right angle to every prompt
    embedding_BW = torch.eye(6)[4].expand(len(labels), -1)
    assert contrastive(embedding_BW, torch.tensor(labels), prompts_KW, WARM).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 0, 0, 1], [0, 1, 1, 1, 3, 3]])
def test_images_at_their_prompts_cost_nothing_however_many_share_one(labels: list[int]) -> None:
    label_B = torch.tensor(labels)
    assert contrastive(torch.eye(4)[label_B], label_B, torch.eye(4), COLD).item() == pytest.approx(0, abs=1e-6)


def test_equal_prompts_are_positives() -> None:
    prompts_KW = torch.eye(4)[[0, 1, 0, 2]]  # classes 0 and 2 share a sentence
    label_B = torch.tensor([0, 2, 1, 3])
    assert contrastive(prompts_KW[label_B], label_B, prompts_KW, COLD).item() == pytest.approx(0, abs=1e-6)
    uniform = torch.eye(4)[3].expand(4, -1)
    assert contrastive(uniform, label_B, prompts_KW, WARM).item() == pytest.approx(1, abs=1e-6)


def test_it_is_the_formula_of_the_paper_less_its_floor() -> None:
    embedding_BW, prompts_KW, label_B = unit(5, 8), unit(3, 8, seed=1), torch.tensor([0, 2, 2, 0, 0])
    similarity_BK = (embedding_BW @ prompts_KW.T / 0.5).double()
    to_text = sum(-similarity_BK[i].log_softmax(0)[label_B[i]].item() for i in range(5)) / 5 / math.log(3)
    losses, chances = [], []
    for prompt in (0, 2):
        positives = (label_B == prompt).nonzero()[:, 0]
        log_p_B = similarity_BK[:, prompt].log_softmax(0)
        losses.append(-log_p_B[positives].mean().item() - math.log(len(positives)))
        chances.append(math.log(5 / len(positives)))
    expected = (to_text + sum(losses) / sum(chances)) / 2
    assert contrastive(embedding_BW, label_B, prompts_KW, WARM).item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_of_one_class_leaves_only_image_to_text() -> None:
    embedding_BW, prompts_KW, label_B = unit(4, 8), unit(3, 8, seed=1), torch.ones(4, dtype=torch.long)
    similarity_BK = embedding_BW @ prompts_KW.T / 0.5
    expected = F.cross_entropy(similarity_BK, label_B).item() / math.log(3)
    assert contrastive(embedding_BW, label_B, prompts_KW, WARM).item() == pytest.approx(expected, rel=1e-5)


def test_one_prompt_for_everything_costs_nothing_and_keeps_the_graph() -> None:
    embedding_BW = unit(4, 8).requires_grad_()
    loss = contrastive(embedding_BW, torch.tensor([0, 1, 0, 1]), unit(1, 8).expand(2, -1), WARM)
    loss.backward()
    assert loss.item() == 0
    assert embedding_BW.grad is not None


def test_the_order_of_the_batch_does_not_matter() -> None:
    embedding_BW, prompts_KW, label_B = unit(6, 8), unit(4, 8, seed=1), torch.tensor([0, 1, 1, 3, 0, 2])
    turned = contrastive(embedding_BW.roll(2, 0), label_B.roll(2, 0), prompts_KW, WARM).item()
    assert turned == pytest.approx(contrastive(embedding_BW, label_B, prompts_KW, WARM).item(), rel=1e-6)


def test_descent_reaches_the_floor_and_learns_the_temperature() -> None:
    embedding_BW, log_temperature = unit(8, 16).requires_grad_(), WARM.clone().requires_grad_()
    label_B, prompts_KW = torch.arange(8) % 2, unit(2, 16, seed=1)
    optimizer = torch.optim.Adam([embedding_BW, log_temperature], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = contrastive(F.normalize(embedding_BW, dim=1), label_B, prompts_KW, log_temperature)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02
    assert log_temperature.item() < math.log(0.5)


@pytest.mark.parametrize("prompts_KW", [unit(4, 8, seed=1), torch.eye(8)[[0, 1, 0, 2]]], ids=["different", "equal"])
def test_whole_shares_cost_what_labels_cost(prompts_KW: Tensor) -> None:
    embedding_BW, label_B = unit(6, 8), torch.tensor([0, 1, 1, 3, 2, 2])
    whole = contrastive(embedding_BW, label_B, prompts_KW, WARM).item()
    shares = contrastive(embedding_BW, F.one_hot(label_B, 4).float(), prompts_KW, WARM).item()
    assert shares == pytest.approx(whole, rel=1e-5)


def test_a_blended_image_is_drawn_to_both_its_prompts_by_their_shares() -> None:
    # Similarities that give the shares by the softmax in both directions: the loss is at its floor.
    target_BK = torch.tensor([[0.75, 0.25], [0.25, 0.75]])
    similarity_BK = target_BK.log() - target_BK.log().mean()
    at_floor = contrastive(similarity_BK, target_BK, torch.eye(2), torch.tensor(0.0))
    assert at_floor.item() == pytest.approx(0, abs=1e-6)
    away = contrastive(similarity_BK * 2, target_BK, torch.eye(2), torch.tensor(0.0)).item()
    p = (similarity_BK * 2).softmax(1)
    divergence = (target_BK * (target_BK / p).log()).sum(1).mean().item()
    assert away == pytest.approx(divergence / math.log(2), rel=1e-5)


def test_images_that_are_all_blended_alike_do_not_blow_the_loss_up() -> None:
    target_BK = torch.tensor([[0.5001, 0.4999], [0.4999, 0.5001], [0.5001, 0.4999]])
    loss = contrastive(unit(3, 8), target_BK, unit(2, 8, seed=1), WARM)
    assert 0 <= loss.item() < 3
