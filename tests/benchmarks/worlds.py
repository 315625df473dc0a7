"""Six sets of pictures of unlike look as class folders: three cut from the real datasets, three drawn."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from raytune_planes.datasets.files import MARKER
from raytune_planes.datasets.synthetic import synthesise

SIDE = 96
MOST = {"train": 600, "val": 400, "test": 60}
"""Pictures of a world, by split."""
FIELD_OF_VIEW = 1.5
"""Side of a picture cut from a scene, in sides of the aircraft's box."""


class Picture(NamedTuple):
    split: str
    label: str
    name: str
    image: Image.Image


Pictures = Callable[[Path], Iterator[Picture]]


def world(name: str, real: Path, kept: Path) -> Path:
    """The folder of a world, made below ``kept`` when it is not there yet."""
    folder = kept / name.replace(" ", "-")
    if not folder.is_dir():
        new = folder.with_name(f".{folder.name}")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        root = real
        if drawn := DRAWN.get(name):
            synthesise(new / "drawn", **{"planesnet": 0, "hrplanes": 0, "fgvc": 0, "fgvc_classes": 20, **drawn})
            (new / MARKER).touch()
            root = new / "drawn"
        _write(WORLDS[name](root), new)
        shutil.rmtree(new / "drawn", ignore_errors=True)
        new.rename(folder)
    return folder


def _write(pictures: Iterator[Picture], folder: Path) -> None:
    """Of every split as many as ``MOST`` says, in an order that is drawn."""
    listed = list(pictures)
    random.Random(0).shuffle(listed)
    counts: Counter[str] = Counter()
    for picture in listed:
        if counts[picture.split] < MOST[picture.split]:
            counts[picture.split] += 1
            path = folder / picture.split / picture.label / f"{picture.name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.image.convert("RGB").resize((SIDE, SIDE)).save(path)


def _chips(root: Path) -> Iterator[Picture]:
    """Those of one scene are in one split; as many with a plane as without."""
    counts: Counter[tuple[str, str]] = Counter()
    paths = sorted((root / "planesnet").rglob("*.png"))
    random.Random(1).shuffle(paths)
    for path in paths:
        label, scene = path.name.split("__")[:2]
        split = random.Random(scene).choices(("train", "val", "test"), (6, 4, 1))[0]
        if counts[split, label] < MOST[split] // 2:
            counts[split, label] += 1
            yield Picture(split, {"0": "ground", "1": "plane"}[label], path.stem, Image.open(path))


def _types(root: Path) -> Iterator[Picture]:
    data = next(root.rglob("images_variant_train.txt")).parent
    for split in MOST:
        for line in (data / f"images_variant_{split}.txt").read_text(encoding="utf-8").splitlines():
            name, label = line.split(" ", 1)
            yield Picture(split, label.replace("/", "-"), name, Image.open(data / "images" / f"{name}.jpg"))


def _night(root: Path) -> Iterator[Picture]:
    noise = np.random.default_rng(0)
    for picture in _types(root):
        grey = ImageOps.grayscale(picture.image).filter(ImageFilter.GaussianBlur(1))
        dark_HW = np.asarray(grey) * 0.35 + noise.normal(0, 12, (grey.height, grey.width))
        yield picture._replace(image=Image.fromarray(dark_HW.clip(0, 255).astype(np.uint8)))


def _cuts(root: Path) -> Iterator[Picture]:
    """Around every box of a scene, and as many elsewhere."""
    folder = root / "hrplanes"
    for split, listing in {"train": "train", "val": "validation", "test": "test"}.items():
        for line in (folder / f"{listing}.txt").read_text(encoding="utf-8").split():
            path = folder / "img" / Path(line).name
            scene = Image.open(path).convert("RGB")
            rows = [r.split() for r in path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()]
            boxes = [
                (float(x) * scene.width, float(y) * scene.height, max(float(w) * scene.width, float(h) * scene.height))
                for _, x, y, w, h in rows
            ]
            draw = random.Random(path.stem)
            for number, (x, y, side) in enumerate(boxes):
                yield Picture(split, "plane", f"{path.stem}-{number}", _around(scene, x, y, side))
                x, y = draw.uniform(0, scene.width), draw.uniform(0, scene.height)
                if all(max(abs(x - a), abs(y - b)) > side + c for a, b, c in boxes):
                    yield Picture(split, "ground", f"{path.stem}-{number}", _around(scene, x, y, side))


def _around(scene: Image.Image, x: float, y: float, side: float) -> Image.Image:
    half = side * FIELD_OF_VIEW / 2
    return scene.crop((round(x - half), round(y - half), round(x + half), round(y + half)))


WORLDS: Mapping[str, Pictures] = {
    "real chips": _chips,
    "real types": _types,
    "real cuts": _cuts,
    "drawn chips": _chips,
    "drawn types": _types,
    "drawn at night": _night,
}
DRAWN: Mapping[str, Mapping[str, int]] = {
    "drawn chips": {"planesnet": 3000, "seed": 1},
    "drawn types": {"fgvc": 1800, "seed": 2},
    "drawn at night": {"fgvc": 1800, "fgvc_classes": 12, "seed": 3},
}
