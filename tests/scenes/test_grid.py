"""Tiles cover a scene, blend back into it, and spots become boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from raytune_planes.datasets.images import Picture
from raytune_planes.scenes.grid import Grid, planes

SIDES = st.integers(20, 200)


def picture(width: int, height: int) -> Picture:
    rows, columns = np.mgrid[:height, :width]
    pixels_HWC = np.stack([rows, columns, 0 * rows], 2).astype(np.uint8)
    return Picture(Image.fromarray(pixels_HWC), width, height)


@given(SIDES, SIDES)
def test_blending_tiles_of_one_mask_gives_that_mask(width: int, height: int) -> None:
    grid = Grid.of(picture(width, height), 40, 16)
    whole_HW = torch.rand(grid.height, grid.width, generator=torch.Generator().manual_seed(0))
    cut = torch.stack([whole_HW[top:bottom, left:right] for left, top, right, bottom in grid.windows])
    assert grid.blend(cut) == pytest.approx(whole_HW.numpy(), abs=1e-5)


@given(SIDES, SIDES)
def test_a_tile_shows_the_part_of_the_picture_that_its_window_names(width: int, height: int) -> None:
    grid = Grid.of(picture(width, height), 40, 16)
    for (left, top, _, _), tile_SSC in zip(grid.windows, grid.pixels(), strict=True):
        assert tile_SSC.shape == (16, 16, 3)
        middle = 8 * grid.step
        assert abs(int(tile_SSC[8, 8, 0]) - (top * grid.step + middle)) <= 1 + grid.step
        assert abs(int(tile_SSC[8, 8, 1]) - (left * grid.step + middle)) <= 1 + grid.step


def test_a_cut_between_two_tiles_leaves_no_seam() -> None:
    grid = Grid.of(picture(80, 40), 40, 16)
    assert [w[0] for w in grid.windows] == [0, 8, 16]
    masks_THW = torch.stack([torch.full((16, 16), value) for value in (0.0, 1.0, 0.0)])
    row_W = grid.blend(masks_THW)[8]
    assert row_W[16] == row_W.max()  # the middle of the middle tile
    assert np.abs(np.diff(row_W)).max() < 0.2


def test_spots_become_boxes_in_the_pictures_pixels_largest_first() -> None:
    mask_HW = np.zeros((20, 40), np.float32)
    mask_HW[2:6, 3:9] = 0.9
    mask_HW[10:18, 20:30] = 0.6
    mask_HW[0, 39] = 0.9  # a speck
    (large, sure), (small, surer) = planes(mask_HW, 400, 100, 16)
    assert (large, small) == ((200, 50, 300, 90), (30, 10, 90, 30))
    assert (sure, surer) == (pytest.approx(0.6), pytest.approx(0.9))
    assert planes(np.zeros((20, 40)), 400, 100, 16) == ()
