"""Cross-entropy in units of guessing."""

from __future__ import annotations

import math

import pytest
import torch

from raytune_planes.losses.classification import classification


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
