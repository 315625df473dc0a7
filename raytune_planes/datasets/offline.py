"""Augmented copies of training pictures and crops of objects, written to disk as ``image_folder`` reads them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from raytune_planes.config import Augment
from raytune_planes.datasets import images, transforms
from raytune_planes.datasets.base import SPLITS, Listing, Reader, Sample
from raytune_planes.datasets.objects import class_folders, folder_of, plain_name, with_margin
from raytune_planes.datasets.split_folders import augmented_name
from raytune_planes.errors import UserError

LARGEST = 512
"""Pixels to a side of a copy, at most: it is square, as a model sees its source."""
AT_ONCE = 16
"""Copies of a picture that are in memory together."""
OBJECT, GROUND = "plane", "background"
"""Classes of crops."""


@dataclass(frozen=True)
class Source:
    """A picture of the new dataset that is no copy."""

    sample: Sample
    split: str
    name: str
    """Of its class."""
    file: str
    """Its name in the new dataset, within ``folder``."""
    folder: str
    """Of its group."""
    window: tuple[int, int, int, int] | None = None
    """What is cut out of the file; None for all of it."""

    @property
    def inside(self) -> Path:
        """Its folder below ``images`` and ``masks``."""
        return Path(self.split) / self.name / self.folder


def whole_pictures(listing: Listing) -> Iterator[Source]:
    """The pictures of class folders. Raises UserError: two classes would share a folder."""
    names = class_folders(listing.info)
    for split in SPLITS:
        for i in listing.splits[split]:
            sample = listing.samples[i]
            yield Source(sample, split, names[sample.label], _file(i, sample), folder_of(sample.group))


def crops(listing: Listing) -> Iterator[Source]:
    """The objects of scenes with some ground around each, and as many tiles without one, of the same scenes' splits."""
    objects: Counter[str] = Counter()
    for split in SPLITS:
        for n in listing.scene_splits[split]:
            scene = listing.scenes[n]
            assert scene.window is not None, "scenes are windows of their own"
            size = (scene.window[2], scene.window[3])
            for k, box in enumerate(scene.boxes):
                file = f"{n:05d}-{k}-{plain_name(scene)}.png"
                objects[split] += 1
                yield Source(scene, split, OBJECT, file, folder_of(scene.group), with_margin(box, size))
        tiles = [i for i in listing.splits[split] if not listing.samples[i].label]
        for i in tiles[: objects[split]]:
            tile = listing.samples[i]
            yield Source(tile, split, GROUND, f"{i:06d}-{plain_name(tile)}.png", folder_of(tile.group), tile.window)


def copies_of(sources: list[Source], each: int, balance: bool) -> list[int]:
    """How many copies each of ``sources`` gets: ``each`` where it trains, none where it does not.

    With ``balance`` every class of the training split ends as large as the largest one does; what a class lacks is
    spread evenly over its pictures.
    """
    of_class = Counter(source.name for source in sources if source.split == "train")
    most = max(of_class.values(), default=0) * (1 + each)
    met: Counter[str] = Counter()
    out = []
    for source in sources:
        if source.split != "train":
            out.append(0)
            continue
        count = of_class[source.name]
        total = most - count if balance else each * count
        out.append(total // count + (met[source.name] < total % count))
        met[source.name] += 1
    return out


def write(
    reader: Reader,
    sources: list[Source],
    counts: list[int],
    out: Path,
    settings: Augment,
    turns: bool,
    seed: int,
) -> None:
    """Write ``sources`` and their copies below ``out``, each copy in the folder of its source, so in its group.

    Args:
        counts: Copies of each.
        turns: Whether flips may also mirror upside down and turn.

    Raises:
        UserError: a picture cannot be decoded, or ``out`` cannot be written.
    """
    new = out.absolute().with_name(f".{out.absolute().name}.{os.getpid()}")  # a folder is whole, or not there
    try:
        new.mkdir(parents=True)
        for source, count in zip(sources, counts, strict=True):
            image, mask = _whole(reader, source)
            _save(new, source, source.file, image, mask)
            if count:
                _copies(new, source, count, image, mask, settings, turns, seed)
        if out.is_dir():
            out.rmdir()  # empty, or it would have been refused
        new.rename(out)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}; name another folder") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _whole(reader: Reader, source: Source) -> tuple[Image.Image, Image.Image | None]:
    most = reader.options.max_pixels
    picture = images.decode(source.sample.path, most=most, values=reader.values, shown=reader.options.bands).image
    mask = None
    if source.sample.mask is not None:
        mask = images.decode(source.sample.mask, most=most, values=(0, 255)).image.convert("L")
    return (picture if source.window is None else picture.crop(source.window)), mask


def _save(out: Path, source: Source, file: str, image: Image.Image, mask: Image.Image | None) -> None:
    for kind, picture in (("images", image), ("masks", mask)):
        if picture is None:
            continue
        folder = out / kind / source.inside
        folder.mkdir(parents=True, exist_ok=True)
        own = source.sample.path if kind == "images" else source.sample.mask
        if source.window is None and file == source.file and own is not None:
            shutil.copyfile(own, folder / f"{Path(file).stem}{own.suffix}")
        else:
            picture.save((folder / file).with_suffix(".png"))


def _copies(
    out: Path,
    source: Source,
    count: int,
    image: Image.Image,
    mask: Image.Image | None,
    settings: Augment,
    turns: bool,
    seed: int,
) -> None:
    side = min(LARGEST, max(image.size))
    pixels_HWC = np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR), np.float32) / 255
    image_CHW = torch.from_numpy(pixels_HWC).permute(2, 0, 1)
    mask_HW = None
    if mask is not None:
        drawn_HW = np.asarray(mask.resize((side, side), Image.Resampling.NEAREST))
        mask_HW = torch.from_numpy((drawn_HW > (127 if drawn_HW.max() > 1 else 0)).astype(np.float32))
    where = f"{source.inside.as_posix()}/{source.file}"
    number = int.from_bytes(hashlib.sha256(f"{seed}:{where}".encode("utf-8", "surrogateescape")).digest()[:7])
    generator = torch.Generator().manual_seed(number)
    for first in range(0, count, AT_ONCE):
        some = min(AT_ONCE, count - first)
        image_BCHW = image_CHW[None].repeat(some, 1, 1, 1)
        masks_BHW = None if mask_HW is None else mask_HW[None].repeat(some, 1, 1)
        draws_BD = transforms.draw(some, generator)
        image_BCHW, masks_BHW = transforms.apply(image_BCHW, masks_BHW, settings, draws_BD, turns)
        pixels_BHWC = (image_BCHW * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        for k in range(some):
            drawn = None if masks_BHW is None else Image.fromarray((masks_BHW[k] > 0.5).to(torch.uint8).numpy() * 255)
            name = augmented_name(source.file, f"{number:014x}{first + k:04d}")
            _save(out, source, name, Image.fromarray(pixels_BHWC[k]), drawn)


def _file(i: int, sample: Sample) -> str:
    return f"{i:06d}-{plain_name(sample)}{sample.path.suffix}"
