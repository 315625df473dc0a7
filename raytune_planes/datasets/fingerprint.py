"""What decides the arrays of a decoded dataset, as one short text: equal fingerprints hold equal arrays."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from raytune_planes.datasets.base import SPLITS, Listing, Reader
from raytune_planes.datasets.framing import Framing
from raytune_planes.datasets.options import LOSSLESS
from raytune_planes.errors import UserError

FORMAT = 7
"""Raise it when a reader decodes differently or the files of an entry change: old entries are then never read."""


def fingerprint(reader: Reader, listing: Listing) -> str:
    """32 hexadecimal digits over everything that decides the arrays, without reading a picture."""
    digest, root = hashlib.blake2b(digest_size=16), str(reader.root)

    def add(*values: object) -> None:
        digest.update((repr(values) + "\n").encode(errors="surrogateescape"))

    add(FORMAT, type(reader).__module__, type(reader).__qualname__)
    # The range of deep pictures follows from the files and from the setting.
    add(reader.image_size, reader.tile, reader.seed, listing.info, listing.synthetic, reader.options.values)
    if reader.options.bands:
        add(reader.options.bands)
    if reader.options.framing != Framing():  # earlier entries stay valid
        add(reader.options.framing)
    if reader.options.kept != LOSSLESS:  # likewise
        add("kept", reader.options.kept)
    for split in SPLITS:
        add(split, *map(int, listing.splits[split]))
    previous, real_root = None, os.path.realpath(root)
    for sample in listing.samples:
        if sample.path != previous:  # tiles of one scene follow each other
            previous = sample.path
            add(*_state(previous, root), *_elsewhere(previous, root, real_root))
        add(sample.label, sample.group, sample.window, sample.boxes, sample.uncut)
        if sample.corners:
            add(sample.corners)
        if sample.mask is not None:
            add(*_state(sample.mask, root), *_elsewhere(sample.mask, root, real_root))
    for scene in listing.scenes:
        add(str(scene.path).removeprefix(root), scene.group, scene.window, scene.boxes, *scene.corners)
    for split in listing.scene_splits:
        add(split, *listing.scene_splits[split])
    return digest.hexdigest()


def _state(path: Path, root: str) -> tuple[str, int, int]:
    try:
        stat = os.stat(path)
    except OSError as error:
        raise UserError(f"{path} is listed but cannot be read: {error.strerror}") from error
    return str(path).removeprefix(root), stat.st_size, stat.st_mtime_ns


def _elsewhere(path: Path, root: str, real_root: str) -> tuple[str, ...]:
    """Where the file lies, if that is not where it is listed: stores of contents give all files one size or time."""
    real = os.path.realpath(path)
    return () if real.removeprefix(real_root) == str(path).removeprefix(root) else (real,)
