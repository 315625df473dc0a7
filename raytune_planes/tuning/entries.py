"""The decoded datasets that a trial opens, wherever it runs; a host that lacks one decodes it for itself."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.cache import LIMIT_GIB
from raytune_planes.datasets.fetching import fetched
from raytune_planes.datasets.pending import BrokenPictures
from raytune_planes.datasets.reopening import is_here, open_cached
from raytune_planes.errors import UserError
from raytune_planes.preparation.data import open_data
from raytune_planes.stores.address import Place


class Entry(NamedTuple):
    """A decoded dataset on disk, and the settings it was decoded for."""

    dataset: str
    decoded_as: tuple[tuple[str, Any], ...]
    """See ``Dataset.decoded_as``."""
    folder: str
    """Of the cache of the driver's machine."""
    pictures: tuple[int, ...] = ()
    """How many it has for training, validation and test."""
    limit_bytes: int | None = None
    """What that cache may hold, and those of other machines; None for the usual limit."""


def open_entries(entries: tuple[Entry, ...], config: TrialConfig, data: Place | None = None) -> dict[str, Arrays]:
    """The decoded arrays of each enabled dataset, at the side and tile that ``config`` asks for.

    Args:
        data: where a machine that does not see the driver's cache finds the pictures.

    Raises:
        UserError: a dataset was not decoded like that, or this machine lacks its pictures or has others.
        BrokenPictures: this machine decodes, and cannot decode some.
    """
    arrays: dict[str, Arrays] = {}
    for name, settings in config.active.items():
        match = [e for e in entries if (e.dataset, e.decoded_as) == (name, settings.decoded_as)]
        if not match:
            there = "; ".join(_in_words(e.decoded_as) for e in entries if e.dataset == name) or "nothing"
            raise UserError(f"dataset '{name}' is not decoded with {_in_words(settings.decoded_as)}; there is: {there}")
        folder = Path(match[0].folder)
        opened = open_cached(folder) if is_here(folder) else _decode_here(match[0], config, data)
        arrays[name] = replace(opened, limit_bytes=match[0].limit_bytes)
    return arrays


def _in_words(decoded_as: tuple[tuple[str, Any], ...]) -> str:
    return ", ".join(f"{name} {value}" for name, value in decoded_as)


def counts(arrays: Arrays) -> tuple[int, ...]:
    return tuple(int(np.size(index)) for _, index in sorted(arrays.splits.items()))


def _decode_here(entry: Entry, config: TrialConfig, data: Place | None) -> Arrays:
    name, host = entry.dataset, socket.gethostname()
    alone = {
        other: settings.model_copy(update={"enabled": other == name}) for other, settings in config.datasets.items()
    }
    limit_gib = LIMIT_GIB if entry.limit_bytes is None else entry.limit_bytes / 2**30
    try:
        cache = Path(entry.folder).parent
        own = config.model_copy(update={"datasets": alone})
        arrays = open_data(own, fetched(data, cache), cache, limit_gib=limit_gib)[name]
    except UserError as error:
        kind = BrokenPictures if isinstance(error, BrokenPictures) else UserError
        raise kind(f"{host} sees no decoded '{name}' at {entry.folder} and cannot decode it: {error}") from None
    if counts(arrays) != entry.pictures:
        raise UserError(
            f"'{name}' on {host} has {counts(arrays)} pictures, where the study began it has {entry.pictures}; "
            "give every host the same data"
        )
    return replace(arrays, warnings=())
