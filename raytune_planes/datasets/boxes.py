"""Boxes of objects as tensors: through the cache, and along with their pictures when these are changed.

A picture's boxes are rows (left, top, right, bottom) in shares of its side, from 0 to 1. All pictures of a tensor have
as many rows; rows without an area are no boxes. Of datasets whose labels tell oriented boxes each row goes on with
their corners (``datasets.oriented``): 12 numbers. Corners may lie beyond the picture; which boxes stay in a changed
picture is decided by the upright ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from raytune_planes.datasets import oriented
from raytune_planes.datasets.base import Sample
from raytune_planes.datasets.blending import Recipe
from raytune_planes.datasets.outlines import UPRIGHT
from raytune_planes.datasets.tiles import SHARE_OF_BOX, SHARE_OF_TILE

FAINT = 0.25
"""Share of a blended image below which what it shows is no longer looked for."""
STEPS = 3
"""Corrections of where a point lands under a deformation: its moves are small and smooth."""


def padded(samples: Sequence[Sample]) -> np.ndarray:
    """boxes_NM4 float32, or with corners boxes_NM12, of samples that are windows of pictures; M is the most that one
    has, at least 1."""
    columns = UPRIGHT + 8 * any(s.corners for s in samples)
    boxes_NMC = np.zeros((len(samples), max([1, *(len(s.boxes) for s in samples)]), columns), np.float32)
    for row, sample in zip(boxes_NMC, samples, strict=True):
        if sample.boxes:
            assert sample.window is not None, "boxes are in pixels of a window"
            left, top, right, bottom = sample.window
            width, height = right - left, bottom - top
            both = np.concatenate([sample.boxes, sample.corners], 1) if sample.corners else np.array(sample.boxes)
            row[: len(sample.boxes)] = both / np.array([width, height] * (columns // 2))
    return boxes_NMC


def corners(boxes_BM4: Tensor) -> Tensor:
    """corners_BM8 of the oriented boxes, as far as they lie in the picture: where labels tell none, of the upright
    ones; all 0 where there is no box."""
    if boxes_BM4.shape[-1] == UPRIGHT:
        return oriented.upright(boxes_BM4)
    there_BM1 = (area(boxes_BM4) > 0)[..., None]
    whole_BM8 = oriented.corners_of(oriented.boxes_of(boxes_BM4[..., UPRIGHT:]))  # no parallelograms
    return oriented.within(whole_BM8, torch.tensor([0.0, 0.0, 1.0, 1.0])) * there_BM1


def area(boxes: Tensor) -> Tensor:
    """Of upright boxes [..., 4], in shares of the picture; 0 where a side is negative."""
    sides = (boxes[..., 2:UPRIGHT] - boxes[..., :2]).clamp_min(0)
    return sides[..., 0] * sides[..., 1]


def moved(boxes_BM4: Tensor, rows: Sequence[Tensor], moves_BHW2: Tensor | None = None) -> Tensor:
    """The boxes of pictures that were read at other places: the upright hulls of their corners and edges' middles; and
    the corners of the oriented ones, where they land.

    ``rows`` are those of ``warping.grid``: where each pixel of the new picture is read in the old one, from -1 to 1.
    ``moves_BHW2`` is added to these places, as an elastic deformation's. A box has landed where it is read, so the map
    is inverted: exactly for ``rows``, in steps for the moves.

    A box stays, cut to the picture, as a tile keeps it: with a quarter of its hull, or a twentieth of the picture. What
    the border mirrors gets no box of its own.
    """
    xx, xy, x0, yx, yy, y0 = (v.to(boxes_BM4)[:, None, None] for v in rows)
    boxes_BM4, corners_BM8 = boxes_BM4[..., :UPRIGHT], boxes_BM4[..., UPRIGHT:]
    left, top, right, bottom = (boxes_BM4 * 2 - 1).unbind(-1)
    across, down = (left + right) / 2, (top + bottom) / 2
    x_BMP = torch.stack([left, right, left, right, left, right, across, across], dim=-1)
    y_BMP = torch.stack([top, top, bottom, bottom, down, down, top, bottom], dim=-1)
    upright_points = x_BMP.shape[-1]
    x_BMP, y_BMP = (torch.cat([p, corners_BM8[..., n::2] * 2 - 1], -1) for n, p in enumerate((x_BMP, y_BMP)))

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
    turned_BM8 = torch.stack([new_x, new_y], -1)[..., upright_points:, :].flatten(-2) / 2 + 0.5
    new_x, new_y = new_x[..., :upright_points], new_y[..., :upright_points]
    hull_BM4 = torch.stack([new_x.amin(-1), new_y.amin(-1), new_x.amax(-1), new_y.amax(-1)], dim=-1) / 2 + 0.5
    inside_BM4 = hull_BM4.clamp(0, 1)
    seen_BM = area(inside_BM4)
    stays_BM = (seen_BM >= SHARE_OF_BOX * area(hull_BM4)) | (seen_BM >= SHARE_OF_TILE)
    return _only(torch.cat([inside_BM4, turned_BM8], -1), stays_BM & (area(boxes_BM4) > 0))


def blended(mine_BM4: Tensor, other_BM4: Tensor, recipe: Recipe, side: int) -> Tensor:
    """The boxes [B, 2 M, 4 or 12] of blended pictures of ``side`` pixels.

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
    parts = [starts, torch.minimum(boxes_BM4[..., 2:UPRIGHT], window_B14[..., 2:])]
    if boxes_BM4.shape[-1] > UPRIGHT:
        parts.append(oriented.within(boxes_BM4[..., UPRIGHT:], window_B14))
    return torch.cat(parts, dim=-1)


def _only(boxes_BM4: Tensor, stays_BM: Tensor) -> Tensor:
    return boxes_BM4 * stays_BM[..., None]
