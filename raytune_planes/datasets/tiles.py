"""Cut large scenes into square tiles with the boxes that lie in them, and draw boxes as masks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from raytune_planes.datasets.outlines import Corners
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

    Args:
        width: Of the scene, in source pixels.
        height: Likewise.
        tile: Side of a square, in source pixels.
        overlap: Share of a side, in [0, 1).
    """
    side = min(tile, width, height)
    for top in starts(height, side, overlap):
        for left in starts(width, side, overlap):
            yield left, top, left + side, top + side


class Inside(NamedTuple):
    """The boxes that reach into a window, in its pixels."""

    parts: tuple[Box, ...]
    """What lies inside of those that count."""
    uncut: tuple[Box, ...]
    """The same boxes, whole."""
    slivers: int
    """Others, of which too little lies inside to count."""
    numbers: tuple[int, ...]
    """Places of those that count among all boxes."""


def inside(boxes: Sequence[Box], window: TileWindow) -> Inside:
    """The ``boxes`` of a scene that ``window`` shows."""
    visible = list(_visible(boxes, window))
    kept = [(part, whole, number) for part, whole, counts, number in visible if counts]
    parts, uncut, numbers = zip(*kept, strict=True) if kept else ((), (), ())
    return Inside(parts, uncut, len(visible) - len(kept), numbers)


def shifted(corners: Corners, window: TileWindow) -> Corners:
    """The corners in the window's pixels."""
    left, top, _, _ = window
    x1, y1, x2, y2, x3, y3, x4, y4 = corners
    return x1 - left, y1 - top, x2 - left, y2 - top, x3 - left, y3 - top, x4 - left, y4 - top


def mask(boxes: Sequence[Box], width: float, height: float, size: int | tuple[int, int]) -> np.ndarray:
    """Filled boxes as mask_HW uint8 in {0, 1}, for boxes in pixels of a ``width`` x ``height`` window.

    A pixel counts where its centre lies in a box; a box between two centres still marks the nearest pixel.

    Args:
        size: rows and columns of the mask; one number for a square one.
    """
    down, across = (size, size) if isinstance(size, int) else size
    mask_HW = np.zeros((down, across), np.uint8)
    for left, top, right, bottom in boxes:
        rows = _pixels(top * down / height, bottom * down / height, down)
        columns = _pixels(left * across / width, right * across / width, across)
        mask_HW[rows, columns] = 1
    return mask_HW


def ellipses(boxes: Sequence[Box], width: float, height: float, size: int | tuple[int, int]) -> np.ndarray:
    """What ``mask`` is of boxes, of the ellipses inscribed in them; boxes may reach beyond the window."""
    down, across = (size, size) if isinstance(size, int) else size
    mask_HW = np.zeros((down, across), np.uint8)
    y_H1, x_1W = (np.arange(down)[:, None] + 0.5) * height / down, (np.arange(across)[None] + 0.5) * width / across
    for left, top, right, bottom in boxes:
        x, y = (left + right) / 2, (top + bottom) / 2
        inside_HW = ((x_1W - x) * 2 / (right - left)) ** 2 + ((y_H1 - y) * 2 / (bottom - top)) ** 2 <= 1
        if inside_HW.any():
            mask_HW[inside_HW] = 1
        elif 0 <= x < width and 0 <= y < height:
            mask_HW[int(y * down / height), int(x * across / width)] = 1
    return mask_HW


def starts(length: int, side: int, overlap: float) -> list[int]:
    """Where windows of ``side`` begin that cover ``length`` evenly, neighbours sharing at least ``overlap`` of it."""
    count = 1 + math.ceil((length - side) / (side * (1 - overlap)))
    return [round(n * (length - side) / max(1, count - 1)) for n in range(count)]


def _visible(boxes: Sequence[Box], window: TileWindow) -> Iterator[tuple[Box, Box, bool, int]]:
    """Of each box that reaches into ``window``: its part inside, the whole of it, whether the part counts, and its
    place among the boxes."""
    left, top, right, bottom = window
    tile_area = (right - left) * (bottom - top)
    for number, (x0, y0, x1, y1) in enumerate(boxes):
        part = (max(x0, left) - left, max(y0, top) - top, min(x1, right) - left, min(y1, bottom) - top)
        area = max(0.0, part[2] - part[0]) * max(0.0, part[3] - part[1])
        if area > 0:
            counts = area >= SHARE_OF_BOX * (x1 - x0) * (y1 - y0) or area >= SHARE_OF_TILE * tile_area
            yield part, (x0 - left, y0 - top, x1 - left, y1 - top), counts, number


def _pixels(low: float, high: float, size: int) -> slice:
    first, end = math.ceil(low - 0.5), math.ceil(high - 0.5)
    if end <= first:
        first = min(size - 1, int((low + high) / 2))
        end = first + 1
    return slice(max(0, first), min(size, end))
