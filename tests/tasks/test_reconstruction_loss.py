"""Hidden pixels told from the others, divided by the chance-level loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raytune_planes.tasks.reconstruction.loss import LEAST, reconstruction
from raytune_planes.tasks.reconstruction.patch_decoder import cover
from raytune_planes.tasks.terms import identity


def pictures() -> tuple[Tensor, Tensor, Tensor]:
    """Four images, what hides a quarter of each, and the images covered there."""
    generator = torch.Generator().manual_seed(0)
    image_BCHW = torch.randn(4, 3, 8, 8, generator=generator)
    hidden_BHW = torch.zeros(4, 8, 8, dtype=torch.bool)
    for row, (down, right) in enumerate([(0, 0), (0, 4), (4, 0), (2, 3)]):
        hidden_BHW[row, down : down + 4, right : right + 4] = True
    return image_BCHW, hidden_BHW, cover(image_BCHW, hidden_BHW)


def loss(painted_BCHW: Tensor) -> Tensor:
    image_BCHW, hidden_BHW, covered_BCHW = pictures()
    return reconstruction(painted_BCHW, image_BCHW, covered_BCHW, hidden_BHW, identity)


def test_a_cover_is_the_mean_visible_colour_and_leaves_the_rest_as_it_is() -> None:
    image_BCHW, hidden_BHW, covered_BCHW = pictures()
    for image_CHW, hidden_HW, covered_CHW in zip(image_BCHW, hidden_BHW, covered_BCHW, strict=True):
        assert torch.equal(covered_CHW[:, ~hidden_HW], image_CHW[:, ~hidden_HW])
        mean_C1 = image_CHW[:, ~hidden_HW].mean(1, keepdim=True)
        torch.testing.assert_close(covered_CHW[:, hidden_HW], mean_C1.expand(-1, 16))


def test_the_cover_itself_costs_one_and_the_picture_nothing() -> None:
    image_BCHW, _, covered_BCHW = pictures()
    assert loss(covered_BCHW).item() == pytest.approx(1, rel=1e-6)
    assert loss(image_BCHW).item() == 0


def test_it_is_the_mean_absolute_error_of_the_hidden_pixels_by_that_of_the_cover() -> None:
    image_BCHW, hidden_BHW, covered_BCHW = pictures()
    painted_BCHW = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    hidden = hidden_BHW[:, None].expand_as(image_BCHW)
    ours, theirs = ((guess - image_BCHW).abs()[hidden].mean() for guess in (painted_BCHW, covered_BCHW))
    assert loss(painted_BCHW).item() == pytest.approx((ours / theirs).item(), rel=1e-5)


def test_only_hidden_pixels_get_a_gradient() -> None:
    image_BCHW, hidden_BHW, _ = pictures()
    painted_BCHW = torch.zeros_like(image_BCHW, requires_grad=True)
    loss(painted_BCHW).backward()
    assert painted_BCHW.grad is not None
    assert torch.equal(painted_BCHW.grad != 0, hidden_BHW[:, None].expand_as(image_BCHW))


def test_pictures_without_contrast_cost_a_finite_number() -> None:
    flat_BCHW = torch.full((2, 3, 8, 8), 0.3)
    hidden_BHW = torch.ones(2, 8, 8, dtype=torch.bool)
    found = reconstruction(flat_BCHW + LEAST, flat_BCHW, flat_BCHW, hidden_BHW, identity)
    assert found.item() == pytest.approx(1, rel=1e-4)
