"""The ground that drawn aircraft stand on: grass, soil, water, aprons with lines, buildings and vehicles."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from raytune_planes.datasets.aircraft import Color

LANDS: dict[str, Color] = {
    "grass": (92, 110, 70),
    "dry grass": (146, 134, 96),
    "soil": (150, 122, 96),
    "concrete": (152, 152, 148),
    "asphalt": (96, 98, 102),
    "water": (48, 70, 88),
}
PAVED = ("concrete", "asphalt")


def land(random: np.random.Generator, width: int, height: int, color: Color, roughness: float = 1.0) -> Image.Image:
    """A patch of ground: smooth variations at several scales around one colour."""
    field_HW = np.zeros((height, width), np.float32)
    for cells, strength in ((3, 9.0), (9, 6.0), (32, 5.0)):
        grid = random.normal(0, strength * roughness, (cells + 2, cells + 2)).astype(np.float32)
        field_HW += np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))
    tint = np.asarray(color, np.float32) + random.normal(0, 5, 3).astype(np.float32)
    return Image.fromarray(np.clip(field_HW[:, :, None] + tint, 0, 255).astype(np.uint8))


def lines(canvas: ImageDraw.ImageDraw, random: np.random.Generator, width: int, height: int, thickness: int) -> None:
    """A few taxi lines across the picture, yellow or white."""
    for _ in range(int(random.integers(0, 3))):
        ends = _across(random, width, height)
        color = (214, 186, 74, 190) if random.random() < 0.6 else (226, 226, 222, 190)
        canvas.line(ends, fill=color, width=max(1, thickness))


def road(canvas: ImageDraw.ImageDraw, random: np.random.Generator, width: int, height: int, thickness: int) -> None:
    """A strip of asphalt or concrete across the picture."""
    color = LANDS[PAVED[int(random.integers(2))]]
    canvas.line(_across(random, width, height), fill=(*color, 235), width=max(2, thickness))


def building(canvas: ImageDraw.ImageDraw, random: np.random.Generator, x: float, y: float, size: float) -> None:
    """A turned rectangle with a shadow and a lit roof, as bright as aircraft often are."""
    angle, long, wide = random.uniform(0, np.pi), size * random.uniform(0.5, 1.0), size * random.uniform(0.2, 0.6)
    bright = int(random.integers(120, 250))
    tint = random.integers(-22, 10, 3)
    roof = (min(255, bright), min(255, bright + int(tint[1])), min(255, bright + int(tint[2])), 255)
    corners = _turned(x, y, long, wide, angle)
    drop = 0.08 * size
    canvas.polygon([(cx + drop, cy + drop * 1.2) for cx, cy in corners], fill=(20, 22, 28, 130))
    canvas.polygon(corners, fill=roof)
    if random.random() < 0.5:
        canvas.polygon(
            _turned(x, y, long * 0.92, wide * 0.4, angle),
            fill=(roof[0] // 2 + 60, roof[1] // 2 + 60, roof[2] // 2 + 60, 255),
        )


def cross(canvas: ImageDraw.ImageDraw, random: np.random.Generator, x: float, y: float, size: float) -> None:
    """Two bright bars that meet: a junction or a roof, which a careless eye takes for an aircraft."""
    angle, bright = random.uniform(0, np.pi), int(random.integers(150, 240))
    for turn in (0.0, random.uniform(0.9, 2.2)):
        wide = size * random.uniform(0.08, 0.2)
        canvas.polygon(
            _turned(x, y, size * random.uniform(0.6, 1.2), wide, angle + turn), fill=(bright, bright, bright - 6, 255)
        )


def vehicles(canvas: ImageDraw.ImageDraw, random: np.random.Generator, spots: np.ndarray, size: float) -> None:
    """Small coloured boxes at ``spots`` [N, 2]."""
    for x, y in spots:
        red, green, blue = (int(value) for value in random.integers(60, 250, 3))
        corners = _turned(float(x), float(y), size, size * 0.45, random.uniform(0, np.pi))
        canvas.polygon(corners, fill=(red, green, blue, 255))


def sensor(random: np.random.Generator, image: Image.Image, noise: float, gain: float) -> np.ndarray:
    """The picture as uint8 [height, width, 3] with the sensor's gain and noise (standard deviation in grey levels)."""
    pixels_HWC = np.asarray(image, np.float32)
    noisy_HWC = pixels_HWC * np.float32(gain) + random.standard_normal(pixels_HWC.shape, np.float32) * np.float32(noise)
    return np.clip(noisy_HWC, 0, 255).astype(np.uint8)


def _across(random: np.random.Generator, width: int, height: int) -> list[tuple[float, float]]:
    if random.random() < 0.5:
        return [(-9, random.uniform(0, height)), (width + 9, random.uniform(0, height))]
    return [(random.uniform(0, width), -9), (random.uniform(0, width), height + 9)]


def _turned(x: float, y: float, long: float, wide: float, angle: float) -> list[tuple[float, float]]:
    along, across = np.cos(angle), np.sin(angle)
    halves = [(-long / 2, -wide / 2), (long / 2, -wide / 2), (long / 2, wide / 2), (-long / 2, wide / 2)]
    return [(float(x + a * along - b * across), float(y + a * across + b * along)) for a, b in halves]
