"""Decoding and an epoch of sets of the published size, measured on a share of them: time, disk and memory.

``RAYTUNE_PLANES_FULLSIZE`` is the share of 10,000 photographs of 1.4 to 1.8 megapixels and of 3,100 scenes of
4800 x 2703 that is drawn and measured (default 0.02). Columns that are called "all" are what was measured divided by
the share: listing, decoding and an epoch take as long per picture however many there are.
"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from raytune_planes.config import Dataset
from raytune_planes.datasets import cache, drawing, reader, storage
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.cache import decode
from raytune_planes.datasets.eval_batches import eval_batches
from raytune_planes.datasets.fgvc import Photo
from raytune_planes.datasets.fgvc import write as write_photos
from raytune_planes.datasets.fleet import fleet
from raytune_planes.datasets.hrplanes import Scene
from raytune_planes.datasets.hrplanes import write as write_scenes
from raytune_planes.datasets.loaders import TrainStream
from raytune_planes.paths import bytes_below
from raytune_planes.processors import allowed
from tests.benchmarks.tables import Table

PHOTOS, SCENES = 10_000, 3_100
PHOTO_SIDES, SCENE_SIDES = ((1600, 1100), (1280, 1060)), (4800, 2703)
PATCH = 600
"""Side of the drawn scenes that a large one is put together from."""
BATCH = 32
SIZES = (64, 96, 128)


@dataclass(frozen=True)
class Cost:
    """Of a share of a set, in seconds of this machine's time, bytes and samples."""

    samples: int
    listing: float
    again: float
    decoding: float
    decoding_processor: float
    disk: int
    epoch: float
    memory: int
    """Resident memory that an epoch over all pictures adds: mapped pages, buffers."""


def photographs(root: Path, count: int) -> Path:
    """Drawn photographs at their real size: enlarged, with the noise of a sensor, so that JPEG has as much to do."""
    craft, random = fleet(20), np.random.default_rng(0)

    def photos() -> Iterator[Photo]:
        for n in range(count):
            variant, shape = craft[n % len(craft)]
            small_HWC, box = drawing.photo((7, n), shape)
            wide, high = PHOTO_SIDES[n % len(PHOTO_SIDES)]
            large = np.asarray(Image.fromarray(small_HWC).resize((wide, high), Image.Resampling.BICUBIC), np.int16)
            noisy = np.clip(large + random.normal(0, 6, (high, wide, 1)), 0, 255).astype(np.uint8)
            across, down = wide / small_HWC.shape[1], high / small_HWC.shape[0]
            left, top, right, bottom = box
            placed = (left * across, top * down, right * across, bottom * down)
            yield Photo(f"{1000000 + n}", noisy, variant.name, ("train", "val", "test")[n // len(craft) % 3], placed)

    write_photos(root, photos(), [variant for variant, _ in craft])
    return root


def scenes(root: Path, count: int) -> Path:
    """Scenes put together from drawn ones, each shifted and mirrored in its own way."""
    patches = [drawing.scene((9, n), PATCH, empty=n % 3 == 2)[:2] for n in range(8)]
    wide, high = SCENE_SIDES

    def all_scenes() -> Iterator[Scene]:
        for n in range(count):
            random = np.random.default_rng(n)
            image_HWC, found = np.zeros((high, wide, 3), np.uint8), []
            for top in range(0, high, PATCH):
                for left in range(0, wide, PATCH):
                    patch_HWC, boxes = patches[int(random.integers(len(patches)))]
                    part_HWC = patch_HWC[: high - top, : wide - left]
                    image_HWC[top : top + PATCH, left : left + PATCH] = part_HWC
                    inside = (min(PATCH, wide - left), min(PATCH, high - top))
                    found += [
                        (left + x0, top + y0, left + min(x1, inside[0]), top + min(y1, inside[1]))
                        for x0, y0, x1, y1 in boxes
                        if x0 + 4 < inside[0] and y0 + 4 < inside[1]
                    ]
            yield Scene(f"scene {n}", image_HWC, tuple(found), ("train", "train", "val", "test")[n % 4])

    write_scenes(root, all_scenes(), quality=90)
    return root


def cost(name: str, root: Path, settings: Mapping[str, Any], folder: Path, limit_bytes: int) -> Cost:
    """Decode into ``folder`` within the limit, then one epoch of batches with the default augmentation."""
    dataset = Dataset(root=str(root), **settings)
    before = time.perf_counter()
    listing = reader(name, dataset, None).scan()
    listed = time.perf_counter() - before
    wall, processor = time.perf_counter(), time.process_time()
    arrays = decode(reader(name, dataset, None), folder, limit_bytes=limit_bytes)
    wall, processor = time.perf_counter() - wall - listed, time.process_time() - processor - listed
    entry = cache.entry(folder, arrays.fingerprint)
    del arrays
    gc.collect()
    before = time.perf_counter()
    arrays = decode(reader(name, dataset, None), folder, limit_bytes=limit_bytes)
    again = time.perf_counter() - before
    held, before = psutil.Process().memory_info().rss, time.perf_counter()
    epoch(arrays, dataset)
    spent, added = time.perf_counter() - before, psutil.Process().memory_info().rss - held
    return Cost(len(listing.samples), listed, again, wall, processor, bytes_below(entry), spent, added)


def epoch(arrays: Arrays, settings: Dataset) -> None:
    """Every training picture once, augmented, and every validation picture."""
    stream = TrainStream(arrays, settings, BATCH, seed=0)
    for i in range(-(-stream.size // BATCH)):
        stream.batch(i)
    for _ in eval_batches(arrays, "val", BATCH):
        pass


def several_sizes(name: str, root: Path, folder: Path) -> tuple[float, float]:
    """Processor seconds of ``SIZES`` one after the other, and in one pass."""

    def of(side: int) -> Any:
        return reader(name, Dataset(root=str(root), image_size=side), None)

    def spent(run: Callable[[], object]) -> float:
        before = time.process_time()
        run()
        return time.process_time() - before

    alone = sum(spent(lambda side=side: decode(of(side), folder / "alone")) for side in SIZES)  # type: ignore[misc]
    return alone, spent(lambda: decode(of(SIZES[0]), folder / "one pass", beside=[of(side) for side in SIZES]))


def measure(quick: bool) -> Table:
    share = float(os.environ.get("RAYTUNE_PLANES_FULLSIZE", "0.005" if quick else "0.02"))
    torch.set_num_threads(1)
    found: dict[str, Cost] = {}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        photos = photographs(root / "photos", max(60, round(PHOTOS * share)))
        large = scenes(root / "scenes", max(8, round(SCENES * share)))
        for path in (*photos.rglob("*"), *large.rglob("*")):
            os.utime(path, (1_700_000_000, 1_700_000_000))  # files of this moment are listed again
        sets = {
            "photographs, 224 px": ("fgvc", photos, {"image_size": 224}),
            "photographs, 448 px": ("fgvc", photos, {"image_size": 448}),
            "scenes, tiles at 224 px": ("hrplanes", large, {"image_size": 224, "tile": 320}),
        }
        for name, folder, _ in sets.values():  # imports and tables of the first call are no part of a set's cost
            cost(name, folder, {"image_size": 16, "tile": 640}, root / "warm", 2**60)
        for label, (name, folder, settings) in sets.items():
            found[label] = cost(name, folder, settings, root / "mapped", 2**60)
            storage.evict(root / "mapped", 0, root)
            small, cache.SMALL_BYTES = cache.SMALL_BYTES, 0
            found[f"{label}, compressed"] = cost(name, folder, settings, root / "compressed", 0)
            cache.SMALL_BYTES = small
        alone, together = several_sizes("fgvc", photos, root)
        counts = {
            "fgvc": len(list(photos.rglob("*.jpg"))) / PHOTOS,
            "hrplanes": len(list(large.rglob("*.jpg"))) / SCENES,
        }
    shares = {label: counts[sets[label.removesuffix(", compressed")][0]] for label in found}
    rows = [
        (
            label,
            f"{c.samples:,} of {c.samples / shares[label]:,.0f}",
            f"{c.listing / shares[label]:.1f}",
            f"{c.again:.2f}",
            f"{c.decoding / shares[label] / 60:.1f}",
            f"{1000 * c.decoding_processor / c.samples:.1f}",
            f"{c.disk / shares[label] / 2**30:.1f}",
            f"{c.epoch / shares[label] / 60:.1f}",
            f"{1000 * c.epoch / c.samples:.2f}",
            f"{c.memory / 2**20:.0f}",
        )
        for label, c in found.items()
    ]
    figures = {
        "share": share,
        "sizes": {"alone": alone, "one pass": together},
        **{k: vars(c) for k, c in found.items()},
    }
    header = ("set", "samples", "list all, s", "again, s (measured)", "decode all, min", "ms each", "disk all, GiB")
    header = (*header, "epoch of all, min", "ms each", "memory, MiB")
    notes = (
        f"SYNTHETIC; measured on {share:.1%} of the sets with {allowed()} processors; 'all' is divided by that share",
        f"{SIZES} px of the photographs, processor time: {alone:.1f} s one by one, {together:.1f} s in one pass",
    )
    return Table("full-size sets", header, rows, figures, notes)
