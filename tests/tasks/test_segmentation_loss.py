"""Mask losses divided by the chance-level loss."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from raytune_planes.tasks.segmentation.loss import segmentation

DICE_SHARES = [0.0, 0.3, 1.0]


def masks() -> Tensor:
    """Foregrounds of 1/4, 1/64 and none."""
    mask_BHW = torch.zeros(3, 8, 8)
    mask_BHW[0, :4, :4] = 1
    mask_BHW[1, 2, 5] = 1
    return mask_BHW


@pytest.mark.parametrize("dice", DICE_SHARES)
def test_an_undecided_mask_costs_one_whatever_the_foreground(dice: float) -> None:
    for mask_HW in masks():
        assert segmentation(torch.zeros(1, 8, 8), mask_HW[None], dice).item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("dice", DICE_SHARES)
def test_a_perfect_mask_costs_nothing(dice: float) -> None:
    assert segmentation(40 * (2 * masks() - 1), masks(), dice).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("dice", DICE_SHARES)
def test_the_inverse_mask_costs_more_than_guessing(dice: float) -> None:
    assert segmentation(4 * (1 - 2 * masks()), masks(), dice).item() > 1.05


def test_dice_is_that_of_the_formula() -> None:
    p_BHW, mask_BHW = torch.full((1, 2, 2), 0.8), torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    chance = 1 - 0.25 / (0.5 + 0.25)
    expected = (1 - 2 * 0.8 / (4 * 0.8 + 1)) / chance
    assert segmentation(p_BHW.logit(), mask_BHW, 1.0).item() == pytest.approx(expected, rel=1e-5)


def test_an_image_without_foreground_still_teaches_under_dice_alone() -> None:
    logits_BHW = torch.zeros(1, 4, 4, requires_grad=True)
    segmentation(logits_BHW, torch.zeros(1, 4, 4), 1.0).backward()
    assert logits_BHW.grad is not None
    assert (logits_BHW.grad > 0).all()


def test_the_mean_over_slices_is_that_of_the_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    logits_BHW = torch.randn(6, 8, 8, generator=generator)
    mask_BHW = torch.cat([masks(), masks().roll(2, 2)])
    whole = segmentation(logits_BHW, mask_BHW, 0.5).item()
    slices = [segmentation(logits_BHW[i : i + 2], mask_BHW[i : i + 2], 0.5).item() for i in (0, 2, 4)]
    assert math.fsum(slices) / 3 == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("dice", [0.0, 1.0])
def test_a_mask_between_0_and_1_is_best_answered_by_itself(dice: float) -> None:
    soft_BHW = 0.7 * masks() + 0.3 * masks().roll(3, 2)
    here = segmentation(soft_BHW.clamp(1e-6, 1 - 1e-6).logit(), soft_BHW, dice).item()
    for other in (0.3, 0.5, 0.9, 1.5):
        p_BHW = (soft_BHW * other + 0.02).clamp(0.001, 0.999)
        assert segmentation(p_BHW.logit(), soft_BHW, dice).item() > here
    if dice == 1.0:
        with_foreground = [
            segmentation(m[None].clamp(1e-6, 1 - 1e-6).logit(), m[None], 1.0).item() for m in soft_BHW[:2]
        ]
        assert with_foreground == pytest.approx([0, 0], abs=1e-3)
