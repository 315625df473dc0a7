"""Boxes divided by the chance-level loss: which cells are to find a plane, and what the two parts of the loss cost."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from raytune_planes.tasks.detection.detector import REACH, centres, decoded
from raytune_planes.tasks.detection.loss import aims, detection
from raytune_planes.tasks.terms import identity

BOXES = torch.tensor(
    [
        [[0.25, 0.25, 0.75, 0.5], [0.0, 0.0, 0.0, 0.0]],
        [[0.5, 0.5, 1.0, 1.0], [0.55, 0.55, 0.8, 0.8]],
        [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
    ]
)


def cells(logit_BN: Tensor, target_BN4: Tensor, side: int = 8) -> Tensor:
    """What a detector says that has these logits and these boxes."""
    at_N2 = centres(side, side)
    reach = torch.cat([at_N2 - target_BN4[..., :2], target_BN4[..., 2:] - at_N2], -1).clamp_min(1e-3)
    raw_BN4 = (reach * side / REACH).log()
    return torch.cat([logit_BN[..., None], raw_BN4], -1).transpose(1, 2).unflatten(2, (side, side))


def said(seed: int = 0) -> Tensor:
    return torch.randn(3, 5, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_cells_in_the_middle_of_a_box_are_to_find_it() -> None:
    positive_BN, target_BN4 = aims(BOXES, 8, 8)
    rows, columns = positive_BN[0].view(8, 8).nonzero(as_tuple=True)
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {(r, c) for r in (2, 3) for c in (3, 4)}
    assert (target_BN4[0][positive_BN[0]] == BOXES[0, 0]).all()
    assert not positive_BN[2].any()


def test_of_two_boxes_a_cell_finds_the_smaller() -> None:
    positive_BN, target_BN4 = aims(BOXES, 8, 8)
    both = (centres(8, 8) - torch.tensor([0.6875, 0.6875])).abs().amax(1) < 0.01
    assert positive_BN[1][both].all()
    assert (target_BN4[1][both] == BOXES[1, 1]).all()
    assert (target_BN4[1][positive_BN[1]] == BOXES[1, 0]).all(1).any()


def test_a_box_smaller_than_a_cell_is_still_some_cells() -> None:
    positive_BN, _ = aims(torch.tensor([[[0.41, 0.41, 0.42, 0.42]]]), 8, 8)
    assert positive_BN[0].nonzero().tolist() == [[3 * 8 + 3]]


def test_what_is_told_of_a_cell_is_its_box() -> None:
    _, target_BN4 = aims(BOXES, 8, 8)
    positive_BN, _ = aims(BOXES, 8, 8)
    logit_BN = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    got_logit, got_boxes = decoded(cells(logit_BN, target_BN4))
    torch.testing.assert_close(got_logit, logit_BN)
    torch.testing.assert_close(got_boxes[positive_BN], target_BN4[positive_BN])


def test_a_perfect_answer_costs_nothing() -> None:
    positive_BN, target_BN4 = aims(BOXES, 8, 8)
    perfect = cells(20 * (2.0 * positive_BN - 1), target_BN4)
    assert detection(perfect, BOXES, identity).item() == pytest.approx(0, abs=1e-3)


def test_a_guess_of_the_share_of_planes_costs_one_in_its_part() -> None:
    positive_BN, target_BN4 = aims(BOXES, 8, 8)
    share = positive_BN.float().mean()
    guess = cells(share.logit().expand(3, 64), target_BN4)
    assert detection(guess, BOXES, identity).item() == pytest.approx(0.5, rel=1e-4)
    half = cells(torch.zeros(3, 64), target_BN4)
    entropy = -(share * share.log() + (1 - share) * (1 - share).log())
    assert detection(half, BOXES, identity).item() == pytest.approx(0.5 * (math.log(2) / entropy).item(), rel=1e-4)


def test_a_box_beside_its_plane_costs_its_giou() -> None:
    box, beside = torch.tensor([[[0.5, 0.5, 0.75, 0.75]]]), torch.tensor([0.625, 0.5, 0.875, 0.75])
    positive_BN, _ = aims(box, 8, 8)
    perfect = 20 * (2.0 * positive_BN - 1)
    overlap, union, hull = 1 / 32, 3 / 32, 3 / 32
    giou = overlap / union - (hull - union) / hull
    guess = cells(perfect, beside.expand(1, 64, 4))
    inside = positive_BN[0] & (centres(8, 8)[:, 0] > 0.625)
    assert inside.any()  # a cell's reach is not negative: only cells within both boxes can tell this one
    boxes_BN4 = decoded(guess)[1]
    torch.testing.assert_close(boxes_BN4[0][inside], beside.expand(int(inside.sum()), 4))
    whole = cells(perfect, torch.where(inside[:, None], beside, box[0]).expand(1, 64, 4))
    expected = (1 - giou) * inside.sum().item() / positive_BN.sum().item() / 2
    assert detection(whole, box, identity).item() == pytest.approx(expected, abs=1e-3)


def test_a_batch_without_planes_teaches_that_there_are_none() -> None:
    what = said()[2:].requires_grad_()
    detection(what, BOXES[2:], identity).backward()
    assert what.grad is not None
    assert (what.grad[:, 0] > 0).all()
    assert (what.grad[:, 1:] == 0).all()


def test_reaches_learn_at_planes_alone_and_logits_everywhere() -> None:
    what = said().requires_grad_()
    detection(what, BOXES, identity).backward()
    positive_BN, _ = aims(BOXES, 8, 8)
    assert what.grad is not None
    assert (what.grad[:, 0] != 0).all()
    assert torch.equal((what.grad[:, 1:] != 0).any(1).flatten(1), positive_BN)
