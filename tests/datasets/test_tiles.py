"""Tiles cover their scene, and masks are the boxes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_planes.datasets import tiles


def test_a_plane_larger_than_a_tile_shows_in_each_of_its_tiles() -> None:
    box = (0.0, 0.0, 300.0, 300.0)
    for window in tiles.windows(300, 300, 100):
        found = tiles.inside([box], window)
        assert (found.parts, found.slivers) == (((0, 0, 100, 100),), 0)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(16, 300))
def test_tiles_are_square_lie_inside_and_cover_the_scene(width: int, height: int, tile: int) -> None:
    covered = np.zeros((height, width), bool)
    for left, top, right, bottom in tiles.windows(width, height, tile):
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert right - left == bottom - top == min(tile, width, height)
        covered[top:bottom, left:right] = True
    assert covered.all()


def test_masks_are_filled_boxes_and_no_box_vanishes() -> None:
    mask_HW = tiles.mask([(0, 0, 32, 16)], 64, 64, 8)
    assert mask_HW[:2, :4].all()
    assert mask_HW.sum() == 8
    assert tiles.mask([(63.0, 63.0, 63.5, 63.5)], 64, 64, 8)[7, 7] == 1
    assert tiles.mask([], 64, 64, 8).sum() == 0
