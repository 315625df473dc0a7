"""Every picture of a dataset looked at once: its size, mode and brightness, its content, and a thumbnail."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import numpy as np
from PIL import Image, UnidentifiedImageError

from raytune_planes.datasets.base import SPLITS, Listing, Reader, Sample
from raytune_planes.datasets.cleaning import picture_name
from raytune_planes.datasets.opening import SUFFIXES, opened
from raytune_planes.errors import UserError
from raytune_planes.processors import allowed

THUMB = 32
"""Side of a thumbnail, on which pictures of any size are compared. All of them take about 3 KiB a picture."""
EVEN = 2
"""Of 255: the most by which pixels of a blank picture differ; compression moves them by that much."""
TOGETHER = 512
"""Pictures that are decoded before the next are asked for."""


@dataclass(frozen=True)
class Pictures:
    """The readable pictures of a dataset, one entry in every column for each."""

    names: tuple[str, ...]
    labels_N: np.ndarray
    """-1 for a scene, whose tiles have labels of their own."""
    splits: tuple[str, ...]
    groups: tuple[str, ...]
    sizes_N2: np.ndarray
    """Width and height in pixels."""
    modes: tuple[str, ...]
    """As Pillow names them: RGB, RGBA, L, ..."""
    misnamed_N: np.ndarray
    """Whether the content is of another format than the suffix says."""
    brightness_N: np.ndarray
    """Mean, in [0, 1]."""
    contrast_N: np.ndarray
    """Standard deviation of the brightness within the picture, in [0, 1]."""
    blank_N: np.ndarray
    """Whether all pixels have one colour, up to ``EVEN``."""
    contents: tuple[bytes, ...]
    """Equal for equal pixels."""
    thumbs_NHWC: np.ndarray
    """uint8 RGB, ``THUMB`` x ``THUMB``."""
    places_N2: np.ndarray
    """Longitude and latitude of the centre in degrees; not a number where the format tells none."""
    unreadable: dict[str, str]
    """Name -> why, of the pictures that are in no column."""

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class _Measured:
    size: tuple[int, int]
    mode: str
    misnamed: bool
    blank: bool
    content: bytes
    thumb_HWC: np.ndarray


def measure(reader: Reader, listing: Listing) -> Pictures:
    """Decode every picture of ``listing`` once; those that cannot be decoded are named, not raised."""
    split_of = {i: split for split in SPLITS for i in listing.splits[split]}
    first: dict[str, int] = {}
    for i, sample in enumerate(listing.samples):
        first.setdefault(picture_name(sample, reader.root), i)
    kept: list[tuple[str, int, _Measured]] = []
    unreadable: dict[str, str] = {}
    pending = iter(first.items())
    with ThreadPoolExecutor(allowed(), thread_name_prefix="look") as pool:
        while chunk := list(islice(pending, TOGETHER)):
            measured = pool.map(lambda item: _measured(reader, listing.samples[item[1]]), chunk)
            for (name, i), result in zip(chunk, measured, strict=True):
                if isinstance(result, str):
                    unreadable[name] = result
                else:
                    kept.append((name, i, result))
    samples = [listing.samples[i] for _, i, _ in kept]
    thumbs_NHWC = np.stack([f.thumb_HWC for *_, f in kept]) if kept else np.zeros((0, THUMB, THUMB, 3), np.uint8)
    brightness_N, contrast_N = _light(thumbs_NHWC)
    return Pictures(
        names=tuple(name for name, *_ in kept),
        labels_N=np.array([-1 if s.window else s.label for s in samples], np.int64),
        splits=tuple(split_of.get(i, "") for _, i, _ in kept),
        groups=tuple(s.group for s in samples),
        sizes_N2=np.array([f.size for *_, f in kept], np.int64).reshape(-1, 2),
        modes=tuple(f.mode for *_, f in kept),
        misnamed_N=np.array([f.misnamed for *_, f in kept], bool),
        brightness_N=brightness_N,
        contrast_N=contrast_N,
        blank_N=np.array([f.blank for *_, f in kept], bool),
        contents=tuple(f.content for *_, f in kept),
        thumbs_NHWC=thumbs_NHWC,
        places_N2=np.array([s.place or (np.nan, np.nan) for s in samples], np.float64).reshape(-1, 2),
        unreadable=unreadable,
    )


def _measured(reader: Reader, sample: Sample) -> _Measured | str:
    try:
        picture = reader.whole(sample)
    except UserError as error:
        return str(error)
    pixels = picture.image.tobytes()
    content = hashlib.blake2b(pixels, digest_size=16, person=f"{picture.width}x{picture.height}".encode()[:16])
    mode, format_ = "RGB", ""
    if sample.row is None:
        mode, format_ = "many bands", "TIFF"
        with suppress(UnidentifiedImageError), opened(sample.path, reader.options.max_pixels) as header:
            mode, format_ = header.mode, header.format or ""
    misnamed = format_ in SUFFIXES and sample.path.suffix.lower() not in SUFFIXES[format_]
    thumb = picture.image.resize((THUMB, THUMB), Image.Resampling.BILINEAR)
    blank = bool((np.ptp(np.asarray(picture.image), axis=(0, 1)) <= EVEN).all())
    return _Measured((picture.width, picture.height), mode, misnamed, blank, content.digest(), np.asarray(thumb))


def _light(thumbs_NHWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    parts = [(g.mean((1, 2)) / 255, g.std((1, 2)) / 255) for g in (grey(c) for c in chunks(thumbs_NHWC))]
    empty = np.zeros(0)
    return np.concatenate([empty, *(b for b, _ in parts)]), np.concatenate([empty, *(c for _, c in parts)])


def grey(thumbs_NHWC: np.ndarray) -> np.ndarray:
    """Brightness (ITU-R BT.601) in [0, 255], float32 [N, H, W]."""
    luma: np.ndarray = thumbs_NHWC.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return luma


def chunks(rows: np.ndarray | Sequence[int], size: int = 1024) -> Iterator[np.ndarray]:
    """``rows`` in pieces, so that what is computed of them stays small."""
    yield from (np.asarray(rows[start : start + size]) for start in range(0, len(rows), size))
