"""The outline of an aircraft seen from above, and how it is drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from raytune_planes.datasets.outlines import Corners

Color = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Shape:
    """Measures of an aircraft, in units of a nominal length."""

    length: float = 1.0
    width: float = 0.10
    """Of the fuselage."""
    span: float = 0.95
    chord: float = 0.21
    """Of the wing at its root."""
    taper: float = 0.35
    """Chord at the tip, as a share of the root's."""
    sweep: float = 28.0
    """Degrees by which the wings lean back."""
    wing_at: float = 0.36
    """From the nose to the wing's leading edge, as a share of the length."""
    engines: int = 2
    """Under the wings: 0, 2 or 4."""
    rear_engines: bool = False
    """A pair beside the tail."""
    engine: float = 0.05
    """Diameter of an engine."""
    tail_span: float = 0.36
    body: Color = (228, 230, 233)
    tail: Color = (150, 60, 60)


@dataclass(frozen=True)
class Pose:
    """Where and how an aircraft stands in a picture."""

    x: float
    y: float
    heading: float
    """Radians from the picture's right, clockwise."""
    scale: float
    """Pixels of the nominal length."""
    squash: float = 1.0
    """Height seen over height: below 1 for a slanted view."""
    light: float = 1.0
    """Brightness of the aircraft's colours."""

    def place(self, points: Sequence[Point]) -> list[Point]:
        """Points (ahead, to the right) of the aircraft in pixels."""
        along, across = math.cos(self.heading), math.sin(self.heading)
        return [
            (
                self.x + self.scale * (ahead * along - right * across),
                self.y + self.scale * self.squash * (ahead * across + right * along),
            )
            for ahead, right in points
        ]


def draw(canvas: ImageDraw.ImageDraw, shape: Shape, pose: Pose, *, shadow: Point = (0.05, 0.06)) -> None:
    """Draw one aircraft and its shadow, offset by ``shadow`` nominal lengths, on an RGBA drawing context."""
    pieces = list(_pieces(shape))
    dx, dy = shadow[0] * pose.scale, shadow[1] * pose.scale
    if shadow != (0.0, 0.0):
        for points, _ in pieces[:-1]:
            canvas.polygon([(x + dx, y + dy) for x, y in pose.place(points)], fill=(18, 22, 28, 120))
    for points, color in pieces:
        canvas.polygon(pose.place(points), fill=_lit(color, pose.light))


def box(shape: Shape, pose: Pose) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the aircraft without its shadow, in pixels."""
    points = np.array([p for piece, _ in _pieces(shape) for p in pose.place(piece)])
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return float(left), float(top), float(right), float(bottom)


def corners(shape: Shape, pose: Pose) -> Corners:
    """Of the box around the aircraft without its shadow, along its heading, in pixels: from front left clockwise."""
    points = np.array([p for piece, _ in _pieces(shape) for p in piece])
    (rear, left), (front, right) = points.min(0).tolist(), points.max(0).tolist()
    (x1, y1), (x2, y2), (x3, y3), (x4, y4) = pose.place([(front, left), (front, right), (rear, right), (rear, left)])
    return x1, y1, x2, y2, x3, y3, x4, y4


def _pieces(shape: Shape) -> Iterator[tuple[list[Point], Color]]:
    """Polygons with colours from the lowest up; the last is the fin, which throws no shadow of its own."""
    nose, rear, half = shape.length / 2, -shape.length / 2, shape.width / 2
    lean = math.tan(math.radians(shape.sweep))
    edge, tip = nose - shape.wing_at * shape.length, shape.span / 2
    wing_color, dark = _lit(shape.body, 0.86), (66, 70, 78)
    for side in (-1, 1):
        yield from _nacelles(shape, edge, lean, side, dark)
        lit = wing_color if side > 0 else _lit(wing_color, 0.93)
        back = edge - (tip - half * 0.5) * lean
        wing = [(edge, half * 0.5), (back, tip), (back - shape.chord * shape.taper, tip)]
        yield [(a, side * r) for a, r in [*wing, (edge - shape.chord * 1.12, half * 0.5)]], lit
        flat = shape.tail_span / 2
        fin = rear + 0.13 * shape.length
        stabiliser = [(fin, 0.0), (fin - flat * lean * 0.9, flat), (fin - flat * lean * 0.9 - 0.045, flat)]
        yield [(a, side * r) for a, r in [*stabiliser, (fin - 0.115, 0.0)]], _lit(shape.tail, 0.9 if side > 0 else 0.84)
    yield _fuselage(nose, rear, half), shape.body
    yield (
        [(rear + 0.24, -half * 0.8), (rear + 0.24, half * 0.8), (rear + 0.02, 0.008), (rear + 0.02, -0.008)],
        shape.tail,
    )
    yield (
        [
            (nose - 0.022, -half * 0.42),
            (nose - 0.022, half * 0.42),
            (nose - 0.048, half * 0.62),
            (nose - 0.048, -half * 0.62),
        ],
        dark,
    )
    yield (
        [(rear + 0.17, -0.007), (rear + 0.17, 0.007), (rear - 0.01, 0.012), (rear - 0.01, -0.012)],
        _lit(shape.tail, 0.7),
    )


def _nacelles(shape: Shape, edge: float, lean: float, side: int, color: Color) -> Iterator[tuple[list[Point], Color]]:
    stations = {0: (), 2: (0.33,), 4: (0.30, 0.58)}[shape.engines]
    for share in stations:
        out = share * shape.span / 2
        ahead = edge - (out - shape.width / 4) * lean + shape.engine * 1.3
        yield _pod(ahead, side * out, shape.engine), color
    if shape.rear_engines:
        yield _pod(-shape.length / 2 + 0.27, side * (shape.width / 2 + shape.engine * 0.45), shape.engine), color


def _pod(ahead: float, right: float, size: float) -> list[Point]:
    half, long = size / 2, size * 2.2
    return [
        (ahead, right - half),
        (ahead, right + half),
        (ahead - long, right + half * 0.6),
        (ahead - long, right - half * 0.6),
    ]


def _fuselage(nose: float, rear: float, half: float) -> list[Point]:
    length = nose - rear
    profile = [
        (0.0, 0.12),
        (0.015, 0.45),
        (0.04, 0.72),
        (0.08, 0.93),
        (0.13, 1.0),
        (0.66, 1.0),
        (0.8, 0.74),
        (0.93, 0.34),
        (1.0, 0.1),
    ]
    right = [(nose - share * length, half * width) for share, width in profile]
    return right + [(a, -r) for a, r in right[::-1]]


def _lit(color: Color, light: float) -> Color:
    red, green, blue = (min(255, max(0, round(value * light))) for value in color)
    return red, green, blue
