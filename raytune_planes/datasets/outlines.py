"""The smallest rectangle, at any angle, around the corners of an outline."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Corners = tuple[float, float, float, float, float, float, float, float]
"""x1, y1, ..., x4, y4 of a rectangle at any angle, one corner after the other around it."""
UPRIGHT = 4
"""Columns of an upright box in a table of boxes; the corners of the oriented one follow, where there are any."""

FLAT_PX = 1e-3
"""Width below which a rectangle is what rounding left of none."""


def smallest_rectangle(xs: Sequence[float], ys: Sequence[float]) -> Corners:
    """The corners of the rectangle of the least area that holds all points.

    One of its sides lies along an edge of the points' convex hull (Freeman and Shapira 1975), so each edge is tried. Of
    rectangles of equal area the one whose side is nearest to the x axis counts: a box that stands upright stays so.
    """
    hull_N2 = _hull(xs, ys)
    edges_N2 = np.roll(hull_N2, -1, axis=0) - hull_N2
    long_N = np.hypot(*edges_N2.T)
    if not long_N.max():  # one point
        x, y = hull_N2[0].tolist()
        return x, y, x, y, x, y, x, y
    ahead_E2 = edges_N2[long_N > 0] / long_N[long_N > 0, None]
    aside_E2 = np.stack([-ahead_E2[:, 1], ahead_E2[:, 0]], 1)
    spans = [(along_EN.min(1), along_EN.max(1)) for along_EN in (ahead_E2 @ hull_N2.T, aside_E2 @ hull_N2.T)]
    (low_E, high_E), (near_E, far_E) = spans
    area_E = (high_E - low_E) * (far_E - near_E)
    turned_E = np.abs(ahead_E2[:, 0] * ahead_E2[:, 1])
    best = min(np.flatnonzero(area_E <= area_E.min() * (1 + 1e-9)).tolist(), key=lambda e: turned_E[e])
    u, v = ahead_E2[best], aside_E2[best]
    ends = ((low_E, near_E), (high_E, near_E), (high_E, far_E), (low_E, far_E))
    x0, y0, x1, y1, x2, y2, x3, y3 = np.concatenate([along[best] * u + across[best] * v for along, across in ends])
    return float(x0), float(y0), float(x1), float(y1), float(x2), float(y2), float(x3), float(y3)


def is_flat(corners: Corners) -> bool:
    """Whether a rectangle is a line or a point, as those of outlines whose corners lie on one line are."""
    x0, y0, x1, y1, x2, y2, *_ = corners
    return min(math.hypot(x1 - x0, y1 - y0), math.hypot(x2 - x1, y2 - y1)) < FLAT_PX


def upright(left: float, top: float, right: float, bottom: float) -> Corners:
    """The corners of a box that stands upright."""
    return left, top, right, top, right, bottom, left, bottom


def _hull(xs: Sequence[float], ys: Sequence[float]) -> np.ndarray:
    """The convex hull's corners [N, 2], counted once each (Andrew 1979, monotone chain)."""
    points = sorted(set(zip(map(float, xs), map(float, ys), strict=True)))
    if len(points) < 3:
        return np.array(points)
    halves = []
    for way in (points, points[::-1]):
        half: list[tuple[float, float]] = []
        for x, y in way:
            while len(half) > 1 and _turn(half[-2], half[-1], (x, y)) <= 0:
                half.pop()
            half.append((x, y))
        halves.append(half[:-1])
    return np.array(halves[0] + halves[1])


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
