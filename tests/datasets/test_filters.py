"""Motion blur, Canny's edges and morphology do what their names say, each image by a strength of its own."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from raytune_planes.config import Augment
from raytune_planes.datasets import filters


def noise(count: int = 6, side: int = 16) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def square(height: float = 1.0) -> Tensor:
    images = torch.full((1, 3, 32, 32), 0.2)
    images[:, :, 10:22, 8:24] = 0.2 + height
    return images


def test_canny_finds_the_outline_of_a_square_one_pixel_wide() -> None:
    edges = filters.canny(square(0.6))[0].bool()
    rows, columns = edges.nonzero().unbind(1)
    assert rows.min() in (9, 10)
    assert rows.max() in (21, 22)
    assert columns.min() in (7, 8)
    assert columns.max() in (23, 24)
    assert not edges[12:20, 11:21].any(), "nothing inside"
    assert edges[12:20, :16].sum(1).eq(1).all(), "one pixel on the left side"
    assert edges[:16, 11:21].sum(0).eq(1).all(), "one pixel on the upper side"


def test_canny_sees_the_same_square_turned() -> None:
    turned = square(0.6).rot90(1, (2, 3))
    here, there = filters.canny(turned)[0].bool(), filters.canny(square(0.6))[0].bool().rot90(1, (0, 1))
    grown = filters.dilation(here[None].float(), 1)[0].bool()
    assert (grown | ~there).all(), "within a pixel"


def test_a_faint_step_is_an_edge_only_where_a_strong_one_leads_to_it() -> None:
    def steps(*heights: float) -> Tensor:
        """One upright step for each image's height, at the top of the picture and at its foot."""
        images = torch.full((1, 3, 32, 32), 0.2)
        images[:, :, :, 16:] += torch.linspace(*heights, 32)[:, None]
        return filters.canny(images)[0, :, 14:18].any(1)

    assert steps(0.6, 0.14).all()
    assert not steps(0.14, 0.14).any()
    followed = steps(0.6, 0.02)
    assert followed[:20].all()
    assert not followed[-3:].any(), "too faint to be followed"


def test_weak_pixels_are_followed_from_strong_ones_over_any_path_and_in_each_image_alone() -> None:
    count = 2 * filters.WORD + 3
    random = torch.Generator().manual_seed(1)
    weak = torch.rand(count, 9, 14, generator=random) < 0.4
    strong = weak & (torch.rand(count, 9, 14, generator=random) < 0.05)
    found = filters.followed(weak, strong)
    for i in range(count):
        reached, ahead = set(), [tuple(place) for place in strong[i].nonzero().tolist()]
        while ahead:
            y, x = ahead.pop()
            if (y, x) in reached or not (0 <= y < 9 and 0 <= x < 14 and weak[i, y, x]):
                continue
            reached.add((y, x))
            ahead += [(y + down, x + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        assert {tuple(place) for place in found[i].nonzero().tolist()} == reached
    assert (found.sum() > strong.sum()) & (found.sum() < weak.sum())


def test_an_edge_is_followed_to_its_end_however_long_it_winds() -> None:
    weak = torch.zeros(1, 33, 32, dtype=torch.bool)
    weak[:, ::2] = True
    weak[:, 1::4, -1] = True
    weak[:, 3::4, 0] = True
    strong = torch.zeros_like(weak)
    strong[:, 0, 0] = True
    assert torch.equal(filters.followed(weak, strong), weak)


def test_a_flat_picture_has_no_edges() -> None:
    assert not filters.canny(torch.full((2, 3, 16, 16), 0.7)).any()


def test_motion_blur_keeps_the_mean_and_smears_along_its_direction_alone() -> None:
    images = torch.zeros(2, 3, 33, 33)
    images[:, :, 16, 16] = 1
    blurred = filters.motion_blur(images, torch.tensor([0.0, math.pi / 2]), torch.tensor([0.3, 0.3]), 0.3)
    torch.testing.assert_close(blurred.mean((1, 2, 3)), images.mean((1, 2, 3)))
    across, along = blurred[0, 0].sum(0) > 1e-3, blurred[0, 0].sum(1) > 1e-3
    assert across.sum() == pytest.approx(0.3 * 33, abs=2)
    assert along.sum() == 1
    torch.testing.assert_close(blurred[1, 0], blurred[0, 0].T, atol=1e-5, rtol=0)


def test_motion_blur_keeps_the_brightness_of_pictures_and_a_still_camera_keeps_the_picture() -> None:
    images = noise(8, 32)
    lengths = torch.tensor([0.0, *[0.2] * 7])
    blurred = filters.motion_blur(images, torch.linspace(0, 3, 8), lengths, 0.2)
    torch.testing.assert_close(blurred.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=0.01, rtol=0)
    torch.testing.assert_close(blurred[0], images[0], atol=1e-5, rtol=0)
    assert (blurred[1:].std((1, 2, 3)) < 0.8 * images[1:].std((1, 2, 3))).all()


@pytest.mark.parametrize("radius", [1, 2, 4])
def test_erosion_and_dilation_are_dual_as_are_opening_and_closing(radius: int) -> None:
    images = noise()
    of = {name: change(images, radius) for name, change in filters.MORPHOLOGY.items()}
    dual = {name: 1 - change(1 - images, radius) for name, change in filters.MORPHOLOGY.items()}
    torch.testing.assert_close(of["erosion"], dual["dilation"])
    torch.testing.assert_close(of["opening"], dual["closing"])
    assert (of["erosion"] <= of["opening"]).all()
    assert (of["opening"] <= images).all()
    assert (images <= of["closing"]).all()
    assert (of["closing"] <= of["dilation"]).all()
    again = filters.MORPHOLOGY["opening"](of["opening"], radius)
    assert torch.equal(again, of["opening"]), "what is open stays open"


def test_dilation_reaches_its_radius_and_no_farther() -> None:
    images = torch.zeros(1, 3, 9, 9)
    images[:, :, 4, 4] = 1
    assert filters.dilation(images, 2)[0, 0].nonzero().unique().tolist() == [2, 3, 4, 5, 6]


def test_opening_removes_a_speck_and_closing_a_hole() -> None:
    speck, hole = torch.zeros(1, 3, 9, 9), torch.ones(1, 3, 9, 9)
    speck[:, :, 4, 4], hole[:, :, 4, 4] = 1, 0
    assert not filters.MORPHOLOGY["opening"](speck, 1).any()
    assert filters.MORPHOLOGY["closing"](hole, 1).all()


def test_the_settings_name_every_kind_of_morphology() -> None:
    allowed = Augment.model_fields["morphology_kind"].annotation.__args__  # type: ignore[union-attr]
    assert set(allowed) == {"any", *filters.MORPHOLOGY}


def test_each_image_is_mixed_by_its_own_weight() -> None:
    mixed = filters.mixed(torch.zeros(3, 3, 2, 2), torch.ones(3, 1, 2, 2), torch.tensor([0, 0.25, 1]))
    assert mixed[:, 2, 0, 0].tolist() == [0, 0.25, 1]
