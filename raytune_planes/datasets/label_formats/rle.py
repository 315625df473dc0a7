"""Masks of COCO as lengths of runs down the columns, plain or packed into text: the box around one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from raytune_planes.datasets.labels import Box
from raytune_planes.errors import UserError


def enclosing(mask: Mapping[str, Any], place: str) -> Box:
    """The box around the pixels that count, left, top, right, bottom; without an area where none does.

    Args:
        mask: ``size`` (height, width) and ``counts``: pixels outside, then inside, then outside, and so on.

    Raises:
        UserError: it is malformed, or its runs do not fill the picture.
    """
    try:
        height, width = map(int, mask["size"])
        counts = mask["counts"]
        runs = np.array(_unpacked(counts) if isinstance(counts, str) else counts, np.int64)
        # Each run is compared, since the sum of large ones wraps around.
        fits = runs.ndim == 1 and bool(((runs >= 0) & (runs <= height * width)).all())
        sound = fits and int(runs.sum()) == height * width > 0
    except (KeyError, TypeError, ValueError, OverflowError, IndexError):
        sound = False
    if not sound:
        raise UserError(f"{place}: runs that do not fill a picture of their size; expected size and counts of COCO")
    ends = np.cumsum(runs)
    starts, stops = ends[0 : len(runs) - 1 : 2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts] - 1
    if not len(starts):
        return 0.0, 0.0, 0.0, 0.0
    left, right = int(starts.min()) // height, int(stops.max()) // height
    spans = bool((starts // height != stops // height).any())
    top, bottom = (0, height - 1) if spans else (int((starts % height).min()), int((stops % height).max()))
    return float(left), float(top), float(right + 1), float(bottom + 1)


def _unpacked(text: str) -> list[int]:
    """Five bits a letter, the lowest first, and a sixth that says whether more follow; from the third number on the
    difference to the one before the last."""
    counts: list[int] = []
    value = bits = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or bits > 50:
            raise ValueError(letter)
        value |= (code & 31) << bits
        bits += 5
        if not code & 32:
            value -= (1 << bits) if code & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = bits = 0
    return counts
