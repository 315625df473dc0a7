"""Boxes of objects as tensors: through the cache, and along with their pictures when these are changed.

A picture's boxes are rows (left, top, right, bottom) in shares of its side, from 0 to 1. All pictures of a tensor have
as many rows; rows without an area are no boxes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from raytune_planes.datasets.base import Sample
from raytune_planes.datasets.blending import Recipe
from raytune_planes.datasets.tiles import SHARE_OF_BOX, SHARE_OF_TILE

FAINT = 0.25
"""Share of a blended image below which what it shows is no longer looked for."""
STEPS = 3
"""Corrections of where a point lands under a deformation: its moves are small and smooth."""


def padded(samples: Sequence[Sample]) -> np.ndarray:
    """boxes_NM4 float32 of samples that are windows of pictures; M is the most that one has, at least 1."""
    boxes_NM4 = np.zeros((len(samples), max([1, *(len(s.boxes) for s in samples)]), 4), np.float32)
    for row, sample in zip(boxes_NM4, samples, strict=True):
        if sample.boxes:
            assert sample.window is not None, "boxes are in pixels of a window"
            left, top, right, bottom = sample.window
            width, height = right - left, bottom - top
            row[: len(sample.boxes)] = np.array(sample.boxes) / np.array([width, height, width, height])
    return boxes_NM4


def area(boxes: Tensor) -> Tensor:
    """Of boxes [..., 4], in shares of the picture; 0 where a side is negative."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp_min(0)
    return sides[..., 0] * sides[..., 1]


def moved(boxes_BM4: Tensor, rows: Sequence[Tensor], moves_BHW2: Tensor | None = None) -> Tensor:
    """The boxes of pictures that were read at other places: the upright hulls of their corners and edges' middles.

    ``rows`` are those of ``warping.grid``: where each pixel of the new picture is read in the old one, from -1 to 1.
    ``moves_BHW2`` is added to these places, as an elastic deformation's. A box has landed where it is read, so the map
    is inverted: exactly for ``rows``, in steps for the moves.

    A box stays, cut to the picture, as a tile keeps it: with a quarter of its hull, or a twentieth of the picture. What
    the border mirrors gets no box of its own.
    """
    xx, xy, x0, yx, yy, y0 = (v.to(boxes_BM4)[:, None, None] for v in rows)
    left, top, right, bottom = (boxes_BM4 * 2 - 1).unbind(-1)
    across, down = (left + right) / 2, (top + bottom) / 2
    x_BMP = torch.stack([left, right, left, right, left, right, across, across], dim=-1)
    y_BMP = torch.stack([top, top, bottom, bottom, down, down, top, bottom], dim=-1)

    def landed(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x, y, scale = x - x0, y - y0, xx * yy - xy * yx
        return (yy * x - xy * y) / scale, (xx * y - yx * x) / scale

    new_x, new_y = landed(x_BMP, y_BMP)
    if moves_BHW2 is not None:
        moves_B2HW = moves_BHW2.to(boxes_BM4).permute(0, 3, 1, 2)
        for _ in range(STEPS):
            places = torch.stack([new_x, new_y], dim=-1)
            move_B2MP = functional.grid_sample(moves_B2HW, places, padding_mode="border", align_corners=False)
            new_x, new_y = landed(x_BMP - move_B2MP[:, 0], y_BMP - move_B2MP[:, 1])
    hull_BM4 = torch.stack([new_x.amin(-1), new_y.amin(-1), new_x.amax(-1), new_y.amax(-1)], dim=-1) / 2 + 0.5
    inside_BM4 = hull_BM4.clamp(0, 1)
    seen_BM = area(inside_BM4)
    stays_BM = (seen_BM >= SHARE_OF_BOX * area(hull_BM4)) | (seen_BM >= SHARE_OF_TILE)
    return _only(inside_BM4, stays_BM & (area(boxes_BM4) > 0))


def blended(mine_BM4: Tensor, other_BM4: Tensor, recipe: Recipe, side: int) -> Tensor:
    """The boxes [B, 2 M, 4] of blended pictures of ``side`` pixels.

    Under MixUp those of both images, as far as an image has ``FAINT`` of the blend. Under CutMix an image keeps the
    boxes of which a quarter is still seen, as they were; of the pasted image's, cut to the rectangle, those stay of
    which a quarter lies in it.

    Args:
        mine_BM4: Each image's own boxes.
        other_BM4: Those of its partner.
        recipe: Who is blended with whom, and how much.
        side: Of the pictures, in pixels.
    """
    share_B1, pastes_B1 = (torch.from_numpy(values)[:, None] for values in (recipe.share_B, recipe.pastes_B))
    top, bottom, left, right = torch.from_numpy(recipe.box_B4 / side).to(mine_BM4).unbind(1)
    hole_B14 = torch.stack([left, top, right, bottom], dim=1)[:, None]
    covered_BM = area(_cut(mine_BM4, hole_B14))
    pasted_BM4 = _cut(other_BM4, hole_B14)
    mine_stays = torch.where(pastes_B1, area(mine_BM4) - covered_BM >= SHARE_OF_BOX * area(mine_BM4), share_B1 >= FAINT)
    paste_stays = (area(pasted_BM4) > 0) & (area(pasted_BM4) >= SHARE_OF_BOX * area(other_BM4))
    other_stays = torch.where(pastes_B1, paste_stays, 1 - share_B1 >= FAINT)
    others_BM4 = torch.where(pastes_B1[..., None], pasted_BM4, other_BM4)
    return torch.cat([_only(mine_BM4, mine_stays), _only(others_BM4, other_stays)], dim=1)


def _cut(boxes_BM4: Tensor, window_B14: Tensor) -> Tensor:
    """The parts of boxes within a window; without an area where there is none."""
    starts = torch.maximum(boxes_BM4[..., :2], window_B14[..., :2])
    return torch.cat([starts, torch.minimum(boxes_BM4[..., 2:], window_B14[..., 2:])], dim=-1)


def _only(boxes_BM4: Tensor, stays_BM: Tensor) -> Tensor:
    return boxes_BM4 * stays_BM[..., None]
