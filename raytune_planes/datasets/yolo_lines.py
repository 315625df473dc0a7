"""The lines of a YOLO label file, as the exporters write them: boxes, polygons, oriented boxes, confidences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raytune_planes.datasets import files
from raytune_planes.errors import UserError

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""
EXPECTED = (
    "expected 'class x y width height' with fractions of the picture, e.g. '0 0.5 0.5 0.1 0.1'; a confidence may "
    "follow, and instead of the four numbers the corners x1 y1 x2 y2 x3 y3 ... of an outline"
)


@dataclass(frozen=True)
class Labels:
    """What a label file says of its picture."""

    boxes: tuple[Box, ...] = ()
    kinds: tuple[int, ...] = ()
    """The class id of each box."""
    odd: Mapping[str, int] = field(default_factory=dict)
    """What was left out or taken for something simpler, counted."""

    def of(self, kinds: Sequence[int]) -> tuple[Box, ...]:
        """The boxes whose class id is among ``kinds``."""
        return tuple(box for box, kind in zip(self.boxes, self.kinds, strict=True) if kind in kinds)


def read_boxes(path: Path, width: int, height: int) -> Labels:
    """The boxes of a label file in pixels of its picture, clipped to it; blank lines hold none.

    A line is ``class x y w h``, the centre and the size as fractions of the picture, perhaps with a confidence behind;
    or ``class x1 y1 x2 y2 x3 y3 ...``, the corners of a polygon or of an oriented box, whose enclosing box is taken.

    Raises:
        UserError: a line is not of that form; names file and line.
    """
    boxes: dict[tuple[int, Box], None] = {}
    odd: Counter[str] = Counter()
    for number, line in files.lines(path):
        kind, (x0, y0, x1, y1), what = _parsed(line, f"{path}:{number}")
        box = (
            max(0.0, x0 * width),
            max(0.0, y0 * height),
            min(float(width), x1 * width),
            min(float(height), y1 * height),
        )
        if box[2] <= box[0] or box[3] <= box[1]:
            what = "box(es) without an area were left out"
        elif (kind, box) in boxes:
            what = "box(es) are there twice and were taken once"
        else:
            boxes[kind, box] = None
        odd.update([what] if what else [])
    return Labels(tuple(box for _, box in boxes), tuple(kind for kind, _ in boxes), dict(odd))


def chosen(kinds: Counter[int], requested: Sequence[int], names: Mapping[int, str], dataset: str) -> tuple[int, ...]:
    """The class ids that count as planes: those asked for, or the only one there is.

    Args:
        kinds: how many boxes each id has in the dataset.
        names: of the ids, where the dataset tells them; for messages.

    Raises:
        UserError: several ids and none is asked for, or one that is asked for is not there.
    """
    known = {kind: f"{kind} {names[kind]}" if kind in names else str(kind) for kind in kinds}
    there = ", ".join(f"{known[kind]} ({count:,})" for kind, count in sorted(kinds.items()))
    setting = f"datasets.{dataset}.classes"
    lost = [kind for kind in requested if kind not in kinds]
    if lost and kinds:
        raise UserError(f"{setting}: no box has the class id {files.some(lost)}; the boxes are of {there}")
    if not requested and len(kinds) > 1:
        raise UserError(
            f"the boxes are of several class ids: {there}; name those that are planes, e.g. {setting}={min(kinds)}"
        )
    return tuple(requested) or tuple(kinds)


def _parsed(line: str, place: str) -> tuple[int, Box, str]:
    """Class id, left, top, right, bottom as fractions, and what was odd."""
    try:
        first, *rest = line.split()
        kind, numbers = float(first), [float(number) for number in rest]
    except ValueError:
        raise UserError(f"{place}: '{line[:80]}' is no box; {EXPECTED}") from None
    outline = len(numbers) >= 6 and len(numbers) % 2 == 0
    confident = len(numbers) == 5 and 0 <= numbers[-1] <= 1
    if not kind.is_integer() or kind < 0 or not (outline or confident or len(numbers) == 4):
        raise UserError(f"{place}: '{line[:80]}' is no box; {EXPECTED}")
    if not all(math.isfinite(v) and -1 <= v <= 2 for v in numbers):
        raise UserError(f"{place}: '{line[:80]}' lies outside of the picture; {EXPECTED}")
    if outline:
        xs, ys = numbers[::2], numbers[1::2]
        return int(kind), (min(xs), min(ys), max(xs), max(ys)), "outline(s) were taken as their enclosing boxes"
    x, y, w, h = numbers[:4]
    if w < 0 or h < 0:
        raise UserError(f"{place}: '{line[:80]}' lies outside of the picture; {EXPECTED}")
    what = "confidence(s) behind boxes were ignored" if confident else ""
    return int(kind), (x - w / 2, y - h / 2, x + w / 2, y + h / 2), what
