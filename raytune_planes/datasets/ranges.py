"""The one range of numbers by which a dataset's pictures with more than 8 bits are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from raytune_planes.datasets import bands
from raytune_planes.datasets.base import Listing, Reader
from raytune_planes.datasets.crew import each
from raytune_planes.datasets.depth import Range, range_in, range_of
from raytune_planes.datasets.opening import DAMAGE, opened
from raytune_planes.errors import UserError
from raytune_planes.processors import allowed


def with_range(
    reader: Reader,
    listing: Listing,
    workers: int | None = None,
    one_by_one: Callable[[Iterable[Path]], Iterable[Path]] = iter,
) -> Listing:
    """``listing`` with ``info.values``, by which ``reader`` decodes from now on: the setting's, or from the least to
    the largest of the ranges that the listed pictures use. Pictures of 8 bits are left as they are.

    What cannot be read is left for decoding to tell. ``one_by_one``: the files; what it raises ends the reading.
    """
    paths = sorted({sample.path for sample in listing.samples if sample.row is None})
    found = each(lambda path: _range(reader, path), one_by_one(paths), workers or allowed(), "range")
    ranges = [own for own in found if own is not None]
    if not ranges:
        return listing
    low, high = min(own[0] for own in ranges), max(own[1] for own in ranges)
    reader.values = reader.options.values or (low, high if high > low else low + 1)
    return replace(listing, info=replace(listing.info, values=reader.values))


def _range(reader: Reader, path: Path) -> Range | None:
    try:
        if chosen := bands.chosen(path, reader.options.bands, reader.options.max_pixels):
            return None if chosen.numbers.dtype == np.uint8 else range_in(chosen.numbers, chosen.nothing)
        return range_of(lambda: opened(path, reader.options.max_pixels), str(path))
    except (*DAMAGE, UserError):
        return None
