"""Several objects in one picture of a dataset whose pictures have one label: found, and cut into pictures of their own.

A model that learns one label from a picture of two objects learns the background between them, and at most one.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from raytune_planes.datasets import images, yolo
from raytune_planes.datasets.base import SPLITS, Info, Listing, Reader, Sample
from raytune_planes.datasets.labels import Box
from raytune_planes.errors import UserError

MARGIN = 0.1
"""Of a box's longer side, on each side: what is cut out shows the object with some ground around it."""
FEWEST = 16
"""Pixels of a mask's part below which it is no object."""
Detect = Callable[[Path], Sequence[Box]]
"""A picture -> boxes of its objects, in its pixels: a detector's."""


@dataclass(frozen=True)
class Several:
    """A picture with more than one object."""

    sample: int
    """Its place in ``Listing.samples``."""
    boxes: tuple[Box, ...]
    """In pixels of the picture, from left to right."""


def find_several(reader: Reader, listing: Listing, detect: Detect | None = None) -> Iterator[Several]:
    """The pictures with several objects: by the boxes of a label file beside them, else by the parts of their mask,
    else by ``detect``. Datasets of tiles have none: each of their tiles is made for all objects in it.

    A text file beside a picture that holds no boxes, such as a caption, says nothing of objects.

    Raises:
        UserError: a mask cannot be decoded.
    """
    if reader.tiled or reader.chip:
        return
    labels_of = yolo.label_files([sample.path for sample in listing.samples], reader.root)
    for i, sample in enumerate(listing.samples):
        if sample.row is None and len(boxes := _boxes(reader, sample, labels_of.get(sample.path), detect)) > 1:
            yield Several(i, tuple(sorted(boxes)))


def split_objects(reader: Reader, listing: Listing, several: Sequence[Several], out: Path) -> int:
    """Write the dataset anew below ``out``, as ``image_folder`` reads it: a picture for each object of ``several``, the
    other pictures as they are. Pictures of one group, and the objects of one picture, lie in one folder and so are one
    group: no split parts them. Returns the number of pictures that were cut out.

    Raises:
        UserError: ``out`` holds something already, cannot be written, or two classes would share a folder.
    """
    names = class_folders(listing.info)
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} holds something already; name a new folder with --split-objects")
    boxes_of = {each.sample: each.boxes for each in several}
    split_of = {i: split for split in SPLITS for i in listing.splits[split]}
    count = 0
    try:
        for i, sample in enumerate(listing.samples):
            if sample.row is not None or i not in split_of:
                continue
            inside = Path(split_of[i]) / names[sample.label] / folder_of(sample.group)
            stem = f"{i:06d}-{plain_name(sample)}"
            for kind, path, values in (("images", sample.path, reader.values), ("masks", sample.mask, (0.0, 255.0))):
                if path is None:
                    continue
                folder = out / kind / inside
                folder.mkdir(parents=True, exist_ok=True)
                if i not in boxes_of:
                    shutil.copyfile(path, folder / f"{stem}{path.suffix}")
                    continue
                bands = reader.options.bands if kind == "images" else ()
                whole = images.decode(path, most=reader.options.max_pixels, values=values, shown=bands).image
                for k, box in enumerate(boxes_of[i]):
                    whole.crop(with_margin(box, whole.size)).save(folder / f"{stem}-{k}.png")
            count += len(boxes_of.get(i, ()))
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}; name another folder") from None
    return count


def _boxes(reader: Reader, sample: Sample, labels: Path | None, detect: Detect | None) -> Sequence[Box]:
    if labels:
        with suppress(UserError):
            return yolo.read_boxes(labels, *reader.size(sample)).boxes
    if sample.mask is not None:
        return _parts(images.decode(sample.mask, most=reader.options.max_pixels, values=(0, 255)).image)
    return detect(sample.path) if detect else ()


def _parts(mask: Image.Image) -> list[Box]:
    """The boxes around the connected parts of a mask."""
    values_HW = np.asarray(mask).max(2)
    numbered_HW, count = ndimage.label(values_HW > (127 if values_HW.max() > 1 else 0), np.ones((3, 3)))
    sizes = np.bincount(numbered_HW.ravel(), minlength=count + 1)
    parts = [part for n, part in enumerate(ndimage.find_objects(numbered_HW), 1) if sizes[n] >= FEWEST]
    return [(float(x.start), float(y.start), float(x.stop), float(y.stop)) for y, x in parts]


def with_margin(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    margin = MARGIN * max(right - left, bottom - top)
    width, height = size
    return (
        max(0, int(left - margin)),
        max(0, int(top - margin)),
        min(width, max(int(left) + 1, round(right + margin))),
        min(height, max(int(top) + 1, round(bottom + margin))),
    )


def class_folders(info: Info) -> list[str]:
    """A folder's name for each class. Raises UserError: two classes would share one."""
    names = [re.sub(r"^\.|[/\\\0]", "_", name) for name in info.classes]
    if len({name.casefold() for name in names}) < len(names):  # a Mac's folders differ by more than case
        raise UserError(f"the classes of '{info.name}' cannot be folders: two of them have one name there")
    return names


def plain_name(sample: Sample) -> str:
    """The name of its file without the ending, of letters that every file system takes."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", sample.path.stem)[:60]


def folder_of(group: str) -> str:
    """A name for a group's folder: readable, and different for different groups."""
    digest = hashlib.sha256(group.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', group)[-40:]}-{digest}"
