"""What decoding a dataset will cost, from its listing and a few of its pictures, before anything is decoded."""

from __future__ import annotations

import copy
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raytune_planes.datasets import records
from raytune_planes.datasets.base import Arrays, Listing, Reader, Sample
from raytune_planes.datasets.boxes import padded
from raytune_planes.datasets.cache import LIMIT_GIB, SMALL_BYTES
from raytune_planes.datasets.filling import size as decoded_size
from raytune_planes.datasets.options import LOSSLESS
from raytune_planes.errors import UserError
from raytune_planes.printing import counted
from raytune_planes.processors import allowed

FILES, PER_FILE, SECONDS = 48, 64, 5.0
"""How many files are decoded for an estimate, how many pictures of each, and for how long at most."""


@dataclass(frozen=True)
class Decoding:
    """Of one dataset at one size."""

    samples: int
    decoded_bytes: int
    """Of pictures, masks and whole scenes, exactly: what an epoch reads, and all trials of a machine share."""
    disk_bytes: int
    """In the cache: the same, or where that exceeds the limit, as measured on some pictures once compressed."""
    seconds: float
    """With all processors that this process may use."""
    processors: int
    measured: int
    """Pictures that were decoded for it."""

    @property
    def compressed(self) -> bool:
        return self.disk_bytes != self.decoded_bytes


def measure(reader: Reader, listing: Listing, limit_bytes: int = round(LIMIT_GIB * 2**30)) -> tuple[Decoding, Arrays]:
    """The cost of decoding, and the pictures that were decoded to find it, all of them in every split.

    Pictures that cannot be decoded are passed over: looking through the dataset names them.

    Args:
        limit_bytes: of the cache, were it empty.

    Raises:
        UserError: none of the pictures can be decoded.
    """
    of_file: dict[Path, list[Sample]] = defaultdict(list)
    for sample in listing.samples:
        of_file[sample.path].append(sample)
    groups = list(of_file.values())
    chosen = [groups[i] for i in np.unique(np.linspace(0, len(groups) - 1, FILES).round().astype(int))]
    started = time.perf_counter()
    found: list[tuple[Sample, np.ndarray, np.ndarray | None]] = []
    per_sample: list[float] = []
    own, why = copy.copy(reader), ""
    for group in chosen:
        if found and time.perf_counter() - started > SECONDS:
            break
        before = time.perf_counter()
        some = group[:: -(-len(group) // PER_FILE)]
        try:
            found += [(sample, *own.load(sample)) for sample in some]
        except UserError as error:
            why = str(error)
            continue
        # A file with many pictures costs its opening once.
        per_sample.append((time.perf_counter() - before) / len(some) * len(group))
    if not found:
        raise UserError(f"nothing can be estimated, as none of {counted(len(chosen), 'file')} can be decoded: {why}")
    seconds = sum(per_sample) / len(per_sample) * len(groups) / allowed()
    size = decoded_size(reader, listing)
    disk = size
    kept = reader.options.kept
    if kept != LOSSLESS or size > max(SMALL_BYTES, limit_bytes):
        pictures = [picture for _, *both in found for picture in both if picture is not None]
        raw = sum(picture.nbytes for picture in pictures)
        disk = round(size * sum(len(records.encoded(picture, kept)) for picture in pictures) / raw)
    return Decoding(len(listing.samples), size, disk, seconds, allowed(), len(found)), _arrays(listing, found)


def _arrays(listing: Listing, found: Sequence[tuple[Sample, np.ndarray, np.ndarray | None]]) -> Arrays:
    samples = [sample for sample, *_ in found]
    masks = [mask for *_, mask in found if mask is not None]
    every = np.arange(len(samples))
    return Arrays(
        info=listing.info,
        images_NHWC=np.stack([image for _, image, _ in found]),
        labels_N=np.array([sample.label for sample in samples], np.int64),
        masks_NHW=np.stack(masks) if listing.info.has_masks else None,
        splits=dict.fromkeys(listing.splits, every),
        fingerprint="estimate",
        synthetic=listing.synthetic,
        boxes_NM4=padded(samples) if listing.info.has_boxes else None,
    )
