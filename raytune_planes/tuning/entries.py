"""The decoded datasets that a trial opens, wherever it runs; a host that lacks one decodes it for itself."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from raytune_planes.config import Dataset, TrialConfig
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.cache import open_cached
from raytune_planes.datasets.info import MASK_SHAPES
from raytune_planes.errors import UserError
from raytune_planes.preparation.data import open_data


class Entry(NamedTuple):
    """A decoded dataset on disk, and the settings it was decoded for."""

    dataset: str
    image_size: int
    tile: int | str
    folder: str
    """Of the cache of the driver's machine."""
    pictures: tuple[int, ...] = ()
    """How many it has for training, validation and test."""
    mask_shape: str = MASK_SHAPES[0]


def open_entries(entries: tuple[Entry, ...], config: TrialConfig, data: Path | None = None) -> dict[str, Arrays]:
    """The decoded arrays of each enabled dataset, at the size and tile that ``config`` asks for.

    Args:
        data: where a machine that does not see the driver's cache finds the pictures.

    Raises:
        UserError: a dataset was not decoded like that, or this machine lacks its pictures or has others.
    """
    arrays: dict[str, Arrays] = {}
    for name, settings in config.active.items():
        wanted = (name, settings.image_size, settings.tile, settings.mask_shape)
        match = [e for e in entries if (e.dataset, e.image_size, e.tile, e.mask_shape) == wanted]
        if not match:
            there = ", ".join(f"{e.image_size} px ({_cut(e)})" for e in entries if e.dataset == name) or "none"
            raise UserError(
                f"dataset '{name}' is not decoded at {settings.image_size} px ({_cut(settings)}); decoded: {there}"
            )
        folder = Path(match[0].folder)
        arrays[name] = open_cached(folder) if folder.is_dir() else _decode_here(match[0], config, data)
    return arrays


def _cut(of: Entry | Dataset) -> str:
    return f"tile {of.tile}" + (f", masks of {of.mask_shape}s" if of.mask_shape != MASK_SHAPES[0] else "")


def counts(arrays: Arrays) -> tuple[int, ...]:
    return tuple(int(np.size(index)) for _, index in sorted(arrays.splits.items()))


def _decode_here(entry: Entry, config: TrialConfig, data: Path | None) -> Arrays:
    name, host = entry.dataset, socket.gethostname()
    alone = {
        other: settings.model_copy(update={"enabled": other == name}) for other, settings in config.datasets.items()
    }
    try:
        arrays = open_data(config.model_copy(update={"datasets": alone}), data, Path(entry.folder).parent)[name]
    except UserError as error:
        raise UserError(f"{host} sees no decoded '{name}' at {entry.folder} and cannot decode it: {error}") from None
    if counts(arrays) != entry.pictures:
        raise UserError(
            f"'{name}' on {host} has {counts(arrays)} pictures, where the study began it has {entry.pictures}; "
            "give every host the same data"
        )
    return replace(arrays, warnings=())
