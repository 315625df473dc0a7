"""DOTA: a text file for each picture, a line for each object with the four corners of its oriented box in pixels."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from raytune_planes.datasets import files, yolo
from raytune_planes.datasets.labels import Found, Labels, clipped, outlined
from raytune_planes.datasets.survey import Survey
from raytune_planes.errors import UserError
from raytune_planes.paths import start
from raytune_planes.printing import printable

LINE = re.compile(rb"\s*(imagesource:|(-?\d+(\.\d+)?\s+){8}[^\d\s.-]\S*(\s+\d)?\s*$)", re.MULTILINE)
HEADER = re.compile(r"[a-z ]+:.*", re.IGNORECASE)
"""``imagesource:GoogleEarth`` and ``gsd:0.146`` stand above the objects."""


def looks(path: Path) -> bool:
    """Whether the file is of this format."""
    return path.suffix.lower() == ".txt" and bool(LINE.match(start(path)))


def are_dota(paths: Iterable[Path]) -> bool:
    """Whether the first label file with a line in it is of this format."""
    first = next((path for path in paths if start(path).strip()), None)
    return first is not None and looks(first)


def read(survey: Survey, sizes: Mapping[Path, tuple[int, int]]) -> Found | None:
    """The boxes of the pictures that have a label file; None where no such file is of this
    format. Raises UserError."""
    files = yolo.label_files(sizes, survey.root)
    if not are_dota(files.values()):
        return None
    return Found({picture: read_boxes(path, *sizes[picture]) for picture, path in files.items()}, set(files.values()))


def read_boxes(path: Path, width: int, height: int) -> Labels:
    """The boxes of a label file in pixels of its picture, clipped to it.

    Raises:
        UserError: a line is not ``x1 y1 x2 y2 x3 y3 x4 y4 class [difficult]``; names file and line.
    """
    rows = []
    for number, line in files.lines(path):
        if HEADER.fullmatch(line):
            continue
        parts = line.split()
        try:
            corners = [float(part) for part in parts[:8]]
        except ValueError:
            corners = []
        if len(corners) < 8 or len(parts) not in (9, 10) or not all(map(math.isfinite, corners)):
            raise UserError(
                f"{printable(path)}:{number}: '{printable(line[:80])}' is no oriented box of DOTA; expected 'x1 y1 x2 "
                f"y2 x3 y3 x4 y4 class difficult' in pixels"
            )
        rows.append(outlined(parts[8], corners[::2], corners[1::2]))
    return clipped(rows, width, height)
