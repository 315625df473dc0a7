"""Where drawn aircraft stand in rows, wing tip to wing tip: planes that touch, and yet are several."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from raytune_planes.datasets import aircraft
from raytune_planes.datasets.aircraft import Pose, Shape

Area = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""
ROW = (2, 5)
"""Aircraft in a row: at least, and below."""
SHARED = 0.04
"""Of a wing's half span that two neighbours share, so that no pixel of the ground shows between them."""


def rows(
    random: np.random.Generator, shapes: Sequence[Shape], area: Area, lengths: tuple[float, float], count: int
) -> list[tuple[Shape, Pose]]:
    """At most ``count`` aircraft, as many as have room within ``area``.

    All stand in one direction or its opposite, so that boxes along their headings are upright in one frame, where
    those of different rows share nothing.

    Args:
        lengths: Least and greatest nominal length in pixels.
    """
    heading = random.uniform(0, 2 * math.pi)
    parked: list[tuple[Shape, Pose]] = []
    taken: list[tuple[float, float, float, float]] = []
    for _ in range(8 * count):
        row = list(_row(random, shapes, area, lengths, heading))
        row = row[: count - len(parked)]
        spots = [_in_frame(shape, pose, heading) for shape, pose in row]
        if len(row) >= ROW[0] and not any(_meet(spot, other) for spot in spots for other in taken):
            parked += row
            taken += spots
        if count - len(parked) < ROW[0]:
            break
    return parked


def _row(
    random: np.random.Generator, shapes: Sequence[Shape], area: Area, lengths: tuple[float, float], heading: float
) -> Iterator[tuple[Shape, Pose]]:
    """Aircraft beside each other, of which each touches the next, until one would leave ``area``."""
    left, top, right, bottom = area
    x, y, reach = random.uniform(left, right), random.uniform(top, bottom), 0.0
    turned = heading + math.pi * int(random.integers(2))
    for place in range(int(random.integers(*ROW))):
        shape = shapes[int(random.integers(len(shapes)))]
        scale, light = random.uniform(*lengths), random.uniform(0.7, 1.1)
        half = shape.span / 2 * scale
        step = (reach + half) * (1 - SHARED) if place else 0.0
        x, y, reach = x - step * math.sin(heading), y + step * math.cos(heading), half
        pose = Pose(x, y, turned, scale, light=light)
        x0, y0, x1, y1 = aircraft.box(shape, pose)
        if not (left <= x0 and top <= y0 and x1 <= right and y1 <= bottom):
            return
        yield shape, pose


def _in_frame(shape: Shape, pose: Pose, heading: float) -> tuple[float, float, float, float]:
    """The aircraft's box in the frame that is turned by ``heading``."""
    points_42 = np.array(aircraft.corners(shape, pose)).reshape(4, 2)
    cos, sin = math.cos(heading), math.sin(heading)
    own_42 = points_42 @ np.array([[cos, -sin], [sin, cos]])
    (left, top), (right, bottom) = own_42.min(0).tolist(), own_42.max(0).tolist()
    return left, top, right, bottom


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
