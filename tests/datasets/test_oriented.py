"""Oriented boxes: their corners and angles, and areas that are those of shapely."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from shapely import MultiPoint, Polygon, affinity, box, minimum_rotated_rectangle
from torch import Tensor

from raytune_planes.datasets.oriented import boxes_of, corners_of, hulls, iou, part, upright, within
from raytune_planes.datasets.outlines import smallest_rectangle


def drawn(count: int, seed: int, spread: float = 1.0) -> Tensor:
    """Boxes [count, 5] of all angles, the longer side first."""
    random = np.random.default_rng(seed)
    sides = np.sort(random.uniform(0.05, 0.8, (count, 2)))[:, ::-1]
    rows = [random.uniform(0, spread, (count, 2)), sides, random.uniform(-math.pi / 2, math.pi / 2, (count, 1))]
    return torch.from_numpy(np.concatenate(rows, 1))


def polygon(corners_8: Tensor) -> Polygon:
    return Polygon(corners_8.view(4, 2).tolist())


def test_the_angle_is_that_of_the_longer_side_clockwise_on_a_picture() -> None:
    corners = corners_of(torch.tensor([10.0, 20.0, 8.0, 4.0, math.pi / 6], dtype=torch.float64))
    x, y = 4 * math.cos(math.pi / 6), 4 * math.sin(math.pi / 6)  # half of the longer side: to the right and down
    front = (corners.view(4, 2)[1] + corners.view(4, 2)[2]) / 2
    assert front.tolist() == pytest.approx([10 + x, 20 + y])
    tall = boxes_of(upright(torch.tensor([0.0, 0.0, 2.0, 6.0])))
    assert tall.tolist() == pytest.approx([1, 3, 6, 2, -math.pi / 2])
    assert boxes_of(upright(torch.tensor([0.0, 0.0, 6.0, 2.0]))).tolist() == pytest.approx([3, 1, 6, 2, 0])


def test_corners_and_boxes_tell_the_same_whichever_corner_comes_first() -> None:
    boxes = drawn(200, 0)
    corners = corners_of(boxes)
    torch.testing.assert_close(boxes_of(corners), boxes)
    turned = corners.view(-1, 4, 2).roll(1, 1).flatten(1)
    mirrored = corners.view(-1, 4, 2).flip(1).flatten(1)
    torch.testing.assert_close(boxes_of(turned), boxes)
    torch.testing.assert_close(boxes_of(mirrored), boxes)
    assert hulls(corners[0]).tolist() == pytest.approx(polygon(corners[0]).bounds)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_overlaps_of_oriented_boxes_are_those_of_shapely(dtype: torch.dtype) -> None:
    corners, others = (corners_of(drawn(40, seed)).to(dtype) for seed in (1, 2))
    found, shares = iou(corners[None], others[None])[0], part(corners[None], others[None])[0]
    expected, smaller = torch.zeros(40, 40, dtype=dtype), torch.zeros(40, 40, dtype=dtype)
    for k, mine in enumerate(map(polygon, corners)):
        for m, other in enumerate(map(polygon, others)):
            shared = mine.intersection(other).area
            expected[k, m] = shared / mine.union(other).area
            smaller[k, m] = shared / min(mine.area, other.area)
    assert 0.3 < (expected > 0).double().mean() < 0.9  # the prefilter has something to leave out, and to let pass
    close = {"rtol": 0, "atol": 1e-9 if dtype == torch.float64 else 2e-5}
    torch.testing.assert_close(found, expected, **close)
    torch.testing.assert_close(shares, smaller, **close)


def test_overlaps_of_boxes_with_common_sides_are_exact() -> None:
    square = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    others = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0], [2.0, 0.0, 4.0, 2.0], [0.5, 0.5, 1.5, 1.5]])
    diamond = corners_of(torch.tensor([[1.0, 1.0, math.sqrt(2), math.sqrt(2), math.pi / 4]]))  # touches all four sides
    every = torch.cat([upright(others), diamond, torch.zeros(1, 8)])
    expected = [1, 1 / 3, 0, 1 / 4, 1 / 2, 0]
    assert iou(upright(square)[None], every[None])[0, 0].tolist() == pytest.approx(expected, abs=1e-6)
    turned = corners_of(torch.tensor([[1.0, 1.0, 2.0, 2.0, math.pi / 4]]))
    shared = 8 * math.tan(math.pi / 8)  # a regular octagon in a square of side 2
    found = iou(upright(square)[None], turned[None]).item()
    assert found == pytest.approx(shared / (8 - shared), abs=1e-6)


def test_what_lies_within_a_window_is_boxed_in_the_directions_of_its_box() -> None:
    corners, window = corners_of(drawn(300, 3, spread=1.4)), torch.tensor([0.1, 0.0, 0.9, 1.0])
    found = within(corners, window)
    gone = 0
    for box_5, mine, kept in zip(boxes_of(corners), corners, found, strict=True):
        angle = box_5[4].item()
        inside = polygon(mine).intersection(box(*window.tolist()))
        if inside.is_empty:
            gone += 1
            assert not kept.any()
            continue
        level = affinity.rotate(inside, -angle, origin=(0, 0), use_radians=True).bounds
        expected = affinity.rotate(box(*level), angle, origin=(0, 0), use_radians=True)
        assert polygon(kept).symmetric_difference(expected).area == pytest.approx(0, abs=1e-9)
    assert 30 < gone < 200


def test_a_slanted_box_becomes_the_box_along_its_longer_side_that_holds_it() -> None:
    slanted = torch.tensor([0.0, 0.0, 6.0, 0.0, 7.0, 2.0, 1.0, 2.0])
    assert boxes_of(slanted).tolist() == pytest.approx([3.5, 1, 7, 2, 0], abs=1e-6)


@pytest.mark.parametrize("seed", range(30))
def test_the_smallest_rectangle_around_an_outline_is_that_of_shapely(seed: int) -> None:
    random = np.random.default_rng(seed)
    points = random.normal(0, 1, (int(random.integers(3, 30)), 2)) * (3, 1) + 5
    if seed % 3 == 0:
        points = points.round()  # several on one line
    ours = polygon(torch.tensor(smallest_rectangle(*points.T.tolist()), dtype=torch.float64))
    theirs = minimum_rotated_rectangle(MultiPoint(points))
    assert ours.area == pytest.approx(theirs.area, rel=1e-9)
    assert ours.buffer(1e-6).contains(MultiPoint(points))


def test_the_smallest_rectangle_of_an_upright_box_stands_upright() -> None:
    assert set(map(float, smallest_rectangle([1, 4, 4, 1, 2], [1, 1, 3, 3, 2]))) == {1.0, 3.0, 4.0}
    assert smallest_rectangle([2, 2], [5, 5]) == (2, 5) * 4
    line = torch.tensor(smallest_rectangle([0, 3, 1.5], [0, 4, 2]))
    assert boxes_of(line).tolist() == pytest.approx([1.5, 2, 5, 0, math.atan2(4, 3)], abs=1e-5)
