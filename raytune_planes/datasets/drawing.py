"""Whole drawn pictures: chips with and without a plane, scenes with boxes, and portraits of one variant."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import ImageDraw

from raytune_planes.datasets import aircraft, grounds, parking
from raytune_planes.datasets.aircraft import Pose, Shape
from raytune_planes.datasets.fleet import color, fleet
from raytune_planes.datasets.outlines import Corners
from raytune_planes.datasets.planesnet import SIDE
from raytune_planes.datasets.yolo import Box

PHOTO = (160, 120)
"""Width and height of a portrait in pixels."""
FINE = 2
"""Pictures are drawn this many times finer and then reduced, so that edges are smooth."""
FINE_CHIP = 4
LENGTHS = (64, 125)
"""Of aircraft in scenes, in pixels."""
PARKED = (3, 10)
"""Aircraft in a scene that has some: at least, and below."""

Key = tuple[int, int]
"""Seed and number: what a picture's random numbers follow from."""
# Distinct streams of random numbers for what shares a key.
_CHIP, _GROUND, _SCENE, _PHOTO = range(4)


def chip(key: Key, scene_key: Key, shapes: Sequence[Shape], *, label: int) -> np.ndarray:
    """uint8 [20, 20, 3]: a plane on the ground for label 1, else ground with what may be taken for one.

    Chips of one ``scene_key`` share their kinds of land and their exposure.
    """
    random, scene_random = np.random.default_rng([_CHIP, *key]), np.random.default_rng([_GROUND, *scene_key])
    lands = [str(name) for name in scene_random.permutation(list(grounds.LANDS))[:3]]
    gain, side = scene_random.uniform(0.75, 1.15), SIDE * FINE_CHIP
    paved = label or random.random() < 0.5
    name = grounds.PAVED[int(random.integers(2))] if paved else lands[int(random.integers(3))]
    image = grounds.land(random, side, side, grounds.LANDS[name])
    canvas = ImageDraw.Draw(image, "RGBA")
    if random.random() < 0.5:
        grounds.road(canvas, random, side, side, int(random.uniform(6, 28)))
    grounds.lines(canvas, random, side, side, FINE_CHIP)
    if label:
        _plane(canvas, random, shapes, side, away=random.uniform(0, 0.1))
        if random.random() < 0.4:
            _beside(canvas, random, side)
    else:
        _distraction(canvas, random, shapes, side)
    return grounds.sensor(random, image.reduce(FINE_CHIP), random.uniform(3, 9), gain * random.uniform(0.92, 1.08))


def scene(
    key: Key, side: int, *, empty: bool, touching: bool = False
) -> tuple[np.ndarray, tuple[Box, ...], tuple[Corners, ...]]:
    """uint8 [side, side, 3], the boxes of its aircraft in pixels, and the corners of those along their headings.

    One half is paved, and aircraft stand only there: tiles of the other half are without. ``empty`` scenes have none.
    ``touching`` aircraft stand in rows, wing tip to wing tip; the others do not touch.
    """
    random, wide = np.random.default_rng([_SCENE, *key]), side * FINE
    lands = [name for name in grounds.LANDS if name not in grounds.PAVED]
    image = grounds.land(random, wide, wide, grounds.LANDS[lands[int(random.integers(len(lands)))]], roughness=1.4)
    canvas = ImageDraw.Draw(image, "RGBA")
    for _ in range(int(random.integers(1, 3))):
        grounds.road(canvas, random, wide, wide, int(random.uniform(24, 90)))
    left, top, right, bottom = apron = _half(random, wide)
    paved = grounds.LANDS[grounds.PAVED[int(random.integers(2))]]
    image.paste(grounds.land(random, right - left, bottom - top, paved), (left, top))
    grounds.lines(canvas, random, wide, wide, 3 * FINE)
    for x, y in random.uniform(0, wide, (int(random.integers(6, 22)), 2)):
        if not (left - 90 < x < right + 90 and top - 90 < y < bottom + 90):
            grounds.building(canvas, random, x, y, random.uniform(70, 240))
    grounds.vehicles(canvas, random, random.uniform(0, wide, (int(random.integers(10, 40)), 2)), 7 * FINE)
    park = _park_in_rows if touching else _park
    parked = [] if empty else park(canvas, random, apron)
    pixels_HWC = grounds.sensor(random, image.reduce(FINE), random.uniform(3, 7), random.uniform(0.8, 1.15))
    boxes = [aircraft.box(shape, pose) for shape, pose in parked]
    turned = tuple(aircraft.corners(shape, _reduced(pose)) for shape, pose in parked)
    return pixels_HWC, tuple((x0 / FINE, y0 / FINE, x1 / FINE, y1 / FINE) for x0, y0, x1, y1 in boxes), turned


def photo(key: Key, shape: Shape) -> tuple[np.ndarray, Box]:
    """uint8 [120, 160, 3] of one aircraft in a livery of its own, and its box in whole pixels within the picture."""
    random = np.random.default_rng([_PHOTO, *key])
    width, height = PHOTO[0] * FINE, PHOTO[1] * FINE
    lands = list(grounds.LANDS)
    image = grounds.land(random, width, height, grounds.LANDS[lands[int(random.integers(len(lands)))]])
    canvas = ImageDraw.Draw(image, "RGBA")
    grounds.road(canvas, random, width, height, int(random.uniform(30, 160)))
    grounds.lines(canvas, random, width, height, 2 * FINE)
    if random.random() < 0.4:
        grounds.building(canvas, random, *_corner(random, width, height), random.uniform(40, 110))
    grounds.vehicles(canvas, random, random.uniform(0, 1, (int(random.integers(0, 8)), 2)) * (width, height), 9)
    heading = random.uniform(-0.45, 0.45) + math.pi * int(random.integers(2))
    x, y = width * random.uniform(0.46, 0.54), height * random.uniform(0.46, 0.54)
    scale = width * random.uniform(0.6, 0.68)
    pose = Pose(x, y, heading, scale, squash=random.uniform(0.72, 0.95), light=random.uniform(0.75, 1.08))
    dressed = _livery(random, shape)
    aircraft.draw(canvas, dressed, pose, shadow=(random.uniform(-0.06, 0.06), random.uniform(0.02, 0.07)))
    pixels_HWC = grounds.sensor(random, image.reduce(FINE), random.uniform(3, 8), random.uniform(0.85, 1.15))
    left, top, right, bottom = (value / FINE for value in aircraft.box(dressed, pose))
    inside = (
        max(0, math.floor(left)),
        max(0, math.floor(top)),
        min(PHOTO[0], math.ceil(right)),
        min(PHOTO[1], math.ceil(bottom)),
    )
    return pixels_HWC, inside


def _distraction(canvas: ImageDraw.ImageDraw, random: np.random.Generator, shapes: Sequence[Shape], side: int) -> None:
    """What the real negatives hold: nothing, buildings, crossings, and aircraft that are cut off."""
    kind = random.random()
    if kind < 0.35:
        _plane(canvas, random, shapes, side, away=random.uniform(0.42, 0.75))
    elif kind < 0.6:
        for x, y in random.uniform(0, side, (int(random.integers(1, 4)), 2)):
            grounds.building(canvas, random, x, y, side * random.uniform(0.3, 0.9))
    elif kind < 0.75:
        x, y = random.uniform(0.3 * side, 0.7 * side, 2)
        grounds.cross(canvas, random, x, y, side * 0.8)
    if random.random() < 0.3:
        grounds.vehicles(canvas, random, random.uniform(0, side, (int(random.integers(1, 6)), 2)), side * 0.08)


def _plane(
    canvas: ImageDraw.ImageDraw, random: np.random.Generator, shapes: Sequence[Shape], side: int, away: float
) -> None:
    """Any aircraft at any heading, its middle ``away`` sides from the middle of the chip."""
    angle, heading = random.uniform(0, 2 * math.pi, 2)
    x, y = side * (0.5 + away * math.cos(angle)), side * (0.5 + away * math.sin(angle))
    shape = shapes[int(random.integers(len(shapes)))]
    aircraft.draw(canvas, shape, Pose(x, y, heading, side * random.uniform(0.5, 0.95), light=random.uniform(0.6, 1.1)))


def _beside(canvas: ImageDraw.ImageDraw, random: np.random.Generator, side: int) -> None:
    angle = random.uniform(0, 2 * math.pi)
    x, y = side * (0.5 + 0.65 * math.cos(angle)), side * (0.5 + 0.65 * math.sin(angle))
    grounds.building(canvas, random, x, y, side * 0.4)


def _half(random: np.random.Generator, wide: int) -> tuple[int, int, int, int]:
    edge = int(wide * random.uniform(0.44, 0.5))
    halves = ((0, 0, edge, wide), (wide - edge, 0, wide, wide), (0, 0, wide, edge), (0, wide - edge, wide, wide))
    return halves[int(random.integers(4))]


def _park(
    canvas: ImageDraw.ImageDraw, random: np.random.Generator, apron: tuple[int, int, int, int]
) -> list[tuple[Shape, Pose]]:
    """Draw aircraft within the apron that do not touch each other."""
    left, top, right, bottom = _part(random, *apron)
    boxes: list[Box] = []
    parked: list[tuple[Shape, Pose]] = []
    shapes, count = [shape for _, shape in fleet(20)], int(random.integers(*PARKED))
    for _ in range(12 * count):
        shape = shapes[int(random.integers(len(shapes)))]
        x, y = random.uniform(left, right), random.uniform(top, bottom)
        pose = Pose(
            x, y, random.uniform(0, 2 * math.pi), FINE * random.uniform(*LENGTHS), light=random.uniform(0.7, 1.1)
        )
        x0, y0, x1, y1 = aircraft.box(shape, pose)
        fits = left <= x0 and top <= y0 and x1 <= right and y1 <= bottom
        if fits and all(x1 < a or c < x0 or y1 < b or d < y0 for a, b, c, d in boxes):
            aircraft.draw(canvas, shape, pose)
            boxes.append((x0, y0, x1, y1))
            parked.append((shape, pose))
        if len(boxes) == count:
            break
    return parked


def _park_in_rows(
    canvas: ImageDraw.ImageDraw, random: np.random.Generator, apron: tuple[int, int, int, int]
) -> list[tuple[Shape, Pose]]:
    """Draw aircraft within the apron, each of which touches another."""
    shapes = [shape for _, shape in fleet(20)]
    lengths = (float(FINE * LENGTHS[0]), float(FINE * LENGTHS[1]))
    parked = parking.rows(random, shapes, apron, lengths, int(random.integers(*PARKED)))
    for shape, pose in parked:
        aircraft.draw(canvas, shape, pose)
    return parked


def _reduced(pose: Pose) -> Pose:
    """The same in the pixels of the finished picture."""
    return replace(pose, x=pose.x / FINE, y=pose.y / FINE, scale=pose.scale / FINE)


def _part(random: np.random.Generator, left: int, top: int, right: int, bottom: int) -> tuple[int, int, int, int]:
    """All of the apron, or one end of it: pavement alone must not tell where aircraft are."""
    if random.random() < 0.4:
        return left, top, right, bottom
    across, down = (right - left) // 2, (bottom - top) // 2
    first = random.random() < 0.5
    if across > down:
        return (left, top, left + across, bottom) if first else (right - across, top, right, bottom)
    return (left, top, right, top + down) if first else (left, bottom - down, right, bottom)


def _livery(random: np.random.Generator, shape: Shape) -> Shape:
    """The same aircraft in an airline's paint: one tail in eight has another colour, so colour alone does not tell."""
    red, green, blue = colorsys.hsv_to_rgb(random.random(), random.uniform(0, 0.06), random.uniform(0.78, 0.97))
    body = round(red * 255), round(green * 255), round(blue * 255)
    tail = color(random.random()) if random.random() < 0.125 else shape.tail
    return replace(shape, body=body, tail=tail)


def _corner(random: np.random.Generator, width: int, height: int) -> tuple[float, float]:
    return width * (0.06 + 0.88 * int(random.integers(2))), height * (0.08 + 0.84 * int(random.integers(2)))
