"""Planes that a detector finds in the tiles of a scene, as boxes of the scene."""

from __future__ import annotations

import math

from torch import Tensor

from raytune_planes.datasets.yolo import Box
from raytune_planes.serving.scenes import OVERLAP, Grid

SURE = 0.5
"""Score from which a box is told."""
PART = 0.5
"""Share of the smaller of two boxes from which it is part of the other: neighbouring tiles cut what one sees whole."""

Scored = tuple[Box, float]
"""A box in the picture's pixels, and how sure the detector is of it."""


def detected(logit_TN: Tensor, boxes_TN4: Tensor, grid: Grid) -> tuple[Scored, ...]:
    """The planes of a scene, the surest first, from the boxes of its tiles (``Prediction``).

    A box at an edge of its tile where the scene goes on is left to the neighbour that sees more of the plane, unless it
    reaches further into the tile than the two overlap. Of boxes that hold each other the surest stays.
    """
    side, found = grid.image_size, list[Scored]()
    each = zip(grid.windows, logit_TN.tolist(), boxes_TN4.tolist(), strict=True)
    for (left, top, right, bottom), logits, boxes in each:
        open_sides = left > 0, top > 0, right < grid.width, bottom < grid.height
        for logit, box in zip(logits, boxes, strict=True):
            score = 1 / (1 + math.exp(-max(logit, -30.0)))
            if score < SURE or box[2] <= box[0] or box[3] <= box[1] or _is_cut(box, open_sides, 1 / side):
                continue
            x0, y0, x1, y1 = (
                (start + share * side) * grid.step for start, share in zip((left, top) * 2, box, strict=True)
            )
            found.append(((x0, y0, min(x1, grid.picture.width), min(y1, grid.picture.height)), score))
    kept: list[Scored] = []
    for box, score in sorted(found, key=lambda each: -each[1]):
        if not any(_shared(box, other) >= PART for other, _ in kept):
            kept.append((box, score))
    return tuple(kept)


def _is_cut(box: list[float], open_sides: tuple[bool, ...], pixel: float) -> bool:
    at_edge = box[0] < pixel, box[1] < pixel, box[2] > 1 - pixel, box[3] > 1 - pixel
    short = (box[2] - box[0] < OVERLAP, box[3] - box[1] < OVERLAP) * 2
    return any(all(each) for each in zip(at_edge, open_sides, short, strict=True))


def _shared(one: Box, other: Box) -> float:
    """Intersection over the smaller of the two."""
    across = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    down = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return across * down / smaller
