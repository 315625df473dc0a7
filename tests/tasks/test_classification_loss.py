"""Cross-entropy divided by the chance-level loss."""

from __future__ import annotations

import math

import pytest
import torch

from raytune_planes.tasks.classification.loss import classification


@pytest.mark.parametrize("classes", [2, 3, 100])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_equal_logits_cost_one_whatever_the_number_of_classes(classes: int, smoothing: float) -> None:
    loss = classification(torch.full((8, classes), 3.0), torch.arange(8) % classes, smoothing)
    assert loss.item() == pytest.approx(1, abs=1e-6)


def test_certain_and_right_costs_nothing() -> None:
    label_B = torch.tensor([0, 2, 1])
    logits_BK = 50.0 * torch.nn.functional.one_hot(label_B, 3)
    assert classification(logits_BK, label_B).item() == pytest.approx(0, abs=1e-6)


def test_smoothing_spreads_its_mass_over_the_wrong_classes() -> None:
    logits_BK, label_B = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0])
    p = logits_BK[0].softmax(0)
    expected = -(0.8 * p[0].log() + 0.1 * p[1].log() + 0.1 * p[2].log()) / math.log(3)
    assert classification(logits_BK, label_B, 0.2).item() == pytest.approx(expected.item(), rel=1e-6)


def test_one_class_leaves_nothing_to_guess() -> None:
    assert classification(torch.randn(4, 1), torch.zeros(4, dtype=torch.long), 0.1).item() == 0


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_blended_label_costs_the_blend_of_its_labels_losses(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits_BK, label_B, other_B = torch.randn(6, 4, generator=generator), torch.arange(6) % 4, torch.arange(6) % 3
    share_B = torch.linspace(0.5, 1, 6)
    hot, other_hot = (torch.nn.functional.one_hot(x, 4) for x in (label_B, other_B))
    target_BK = share_B[:, None] * hot + (1 - share_B)[:, None] * other_hot
    rows = [
        share * classification(logits_BK[i : i + 1], label_B[i : i + 1], smoothing)
        + (1 - share) * classification(logits_BK[i : i + 1], other_B[i : i + 1], smoothing)
        for i, share in enumerate(share_B)
    ]
    assert classification(logits_BK, target_BK, smoothing).item() == pytest.approx(sum(rows).item() / 6, rel=1e-5)  # type: ignore[union-attr]
    whole = classification(logits_BK, label_B, smoothing, 0.3).item()
    assert classification(logits_BK, hot.float(), smoothing, 0.3).item() == pytest.approx(whole, rel=1e-6)
