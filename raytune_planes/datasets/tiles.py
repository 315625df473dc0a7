"""Cut large scenes into square tiles with the boxes that lie in them, and draw boxes as masks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from raytune_planes.datasets.yolo import Box

SHARE_OF_BOX = 0.25
"""A part of a box counts where at least this share of the box lies in the tile ..."""
SHARE_OF_TILE = 0.05
"""... or where it covers this share of the tile: a plane larger than the tile shows in each of its tiles."""

TileWindow = tuple[int, int, int, int]


def windows(width: int, height: int, tile: int, overlap: float = 0.0) -> Iterator[TileWindow]:
    """Squares of side ``tile`` that cover the scene, row by row; the last ones overlap so as to stay inside.

    Neighbours share at least ``overlap`` of their side. A scene smaller than ``tile`` is covered by squares of its
    shorter side, so that nothing is stretched.
    """
    side = min(tile, width, height)
    for top in _starts(height, side, overlap):
        for left in _starts(width, side, overlap):
            yield left, top, left + side, top + side


def parts_inside(boxes: Sequence[Box], window: TileWindow) -> tuple[tuple[Box, ...], int]:
    """The parts of ``boxes`` within ``window``, in its pixels, and how many slivers were too small to count."""
    left, top, right, bottom = window
    tile_area = (right - left) * (bottom - top)
    kept, slivers = [], 0
    for x0, y0, x1, y1 in boxes:
        part = (max(x0, left) - left, max(y0, top) - top, min(x1, right) - left, min(y1, bottom) - top)
        area = max(0.0, part[2] - part[0]) * max(0.0, part[3] - part[1])
        if area <= 0:
            continue
        if area >= SHARE_OF_BOX * (x1 - x0) * (y1 - y0) or area >= SHARE_OF_TILE * tile_area:
            kept.append(part)
        else:
            slivers += 1
    return tuple(kept), slivers


def mask(boxes: Sequence[Box], width: float, height: float, size: int) -> np.ndarray:
    """Filled boxes as mask_HW uint8 in {0, 1} of side ``size``, for boxes in pixels of a ``width`` x ``height`` window.

    A pixel counts where its centre lies in a box; a box between two centres still marks the nearest pixel.
    """
    mask_HW = np.zeros((size, size), np.uint8)
    for left, top, right, bottom in boxes:
        rows = _pixels(top * size / height, bottom * size / height, size)
        columns = _pixels(left * size / width, right * size / width, size)
        mask_HW[rows, columns] = 1
    return mask_HW


def _starts(length: int, side: int, overlap: float) -> list[int]:
    count = 1 + math.ceil((length - side) / (side * (1 - overlap)))
    return [round(n * (length - side) / max(1, count - 1)) for n in range(count)]


def _pixels(low: float, high: float, size: int) -> slice:
    first, end = math.ceil(low - 0.5), math.ceil(high - 0.5)
    if end <= first:
        first = min(size - 1, int((low + high) / 2))
        end = first + 1
    return slice(max(0, first), min(size, end))
