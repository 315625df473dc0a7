"""The lines of a YOLO label file, as the exporters write them: boxes, polygons, oriented boxes, confidences."""

from __future__ import annotations

import math
from pathlib import Path

from raytune_planes.datasets import files
from raytune_planes.datasets.labels import Labels, Marked, clipped, outlined
from raytune_planes.errors import UserError

EXPECTED = (
    "expected 'class x y width height' with fractions of the picture, e.g. '0 0.5 0.5 0.1 0.1'; a confidence may "
    "follow, and instead of the four numbers the corners x1 y1 x2 y2 x3 y3 ... of an outline"
)


def read_boxes(path: Path, width: int, height: int, keypoints: int = 0) -> Labels:
    """The boxes of a label file in pixels of its picture, clipped to it; blank lines hold none.

    A line is ``class x y w h``, the centre and the size as fractions of the picture, perhaps with a confidence behind;
    or ``class x1 y1 x2 y2 x3 y3 ...``, the corners of a polygon or of an oriented box, whose enclosing box and smallest
    rectangle are taken.

    Args:
        keypoints: numbers behind each box that tell of key points, as ``data.yaml`` says; else two key points of three
            numbers would look like an outline of five corners.

    Raises:
        UserError: a line is not of that form; names file and line.
    """
    lines = files.lines(path)
    return clipped((_parsed(line, f"{path}:{n}", keypoints, width, height) for n, line in lines), width, height)


def _parsed(line: str, place: str, keypoints: int, width: int, height: int) -> Marked:
    try:
        first, *rest = line.split()
        kind, numbers = float(first), [float(number) for number in rest]
    except ValueError:
        raise UserError(f"{place}: '{line[:80]}' is no box; {EXPECTED}") from None
    what = ""
    if keypoints and len(numbers) == 4 + keypoints:
        numbers, what = numbers[:4], "boxes with key points, which were ignored"
    elif len(numbers) in (5, 9) and 0 <= numbers[-1] <= 1:  # behind a box, or the four corners of one
        numbers, what = numbers[:-1], "confidences behind boxes, ignored"
    outline = len(numbers) >= 6 and len(numbers) % 2 == 0
    if not kind.is_integer() or kind < 0 or not (outline or len(numbers) == 4):
        raise UserError(f"{place}: '{line[:80]}' is no box; {EXPECTED}")
    if not all(math.isfinite(v) and -1 <= v <= 2 for v in numbers):
        raise UserError(f"{place}: '{line[:80]}' lies outside of the picture; {EXPECTED}")
    if outline:
        return outlined(str(int(kind)), [x * width for x in numbers[::2]], [y * height for y in numbers[1::2]])
    x, y, w, h = numbers[:4]
    if w < 0 or h < 0:
        raise UserError(f"{place}: '{line[:80]}' lies outside of the picture; {EXPECTED}")
    box = (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
    return Marked(str(int(kind)), box, what)
