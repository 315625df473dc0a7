"""Scenes with white planes on noise, written as the programs do in which people draw boxes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are outside."""
BOXES: tuple[Box, ...] = ((8, 16, 40, 48), (70, 10, 90, 30))
SIZE = (192, 128)


def scene(path: Path, boxes: Sequence[Box] = BOXES, size: tuple[int, int] = SIZE) -> Path:
    """A picture with bright rectangles where the boxes are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([*path.name.encode()]).integers(0, 90, (size[1], size[0], 3), np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = 255
    Image.fromarray(pixels).save(path, quality=95)
    return path


def coco(path: Path, pictures: Mapping[str, Sequence[Box]], *, names: Sequence[str] = ("airplane",)) -> dict[str, Any]:
    """Write a JSON file of pictures of ``SIZE``, whose boxes are of the first of ``names``; what was written."""
    images = [{"id": n, "file_name": name, "width": SIZE[0], "height": SIZE[1]} for n, name in enumerate(pictures)]
    objects = [
        {"image_id": n, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": 0, "segmentation": []}
        for n, boxes in enumerate(pictures.values())
        for x0, y0, x1, y1 in boxes
    ]
    table = {
        "images": images,
        "annotations": [{"id": n, **what} for n, what in enumerate(objects)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(names, 1)],
    }
    return written(path, table)


def written(path: Path, table: dict[str, Any]) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table))
    return table


def voc(path: Path, boxes: Sequence[Box] = BOXES, *, name: str = "airplane", size: tuple[int, int] = SIZE) -> Path:
    """Write an XML file, which counts pixels from 1."""
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax>"
        f"<ymax>{y1}</ymax></bndbox></object>"
        for x0, y0, x1, y1 in boxes
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    path.write_text(f"<annotation><filename>old name.jpg</filename>{shown}{objects}</annotation>")
    return path


def yolo(path: Path, boxes: Sequence[Box] = BOXES, *, kind: int = 0) -> Path:
    """Write a text file of fractions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (w, h) = SIZE
    lines = (
        f"{kind} {(x0 + x1) / 2 / w:.6f} {(y0 + y1) / 2 / h:.6f} {(x1 - x0) / w:.6f} {(y1 - y0) / h:.6f}\n"
        for x0, y0, x1, y1 in boxes
    )
    path.write_text("".join(lines))
    return path
