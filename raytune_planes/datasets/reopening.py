"""Opens entries of the cache: whole ones, and those that a process of this machine still decodes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from raytune_planes.datasets import building, scene_files, storage
from raytune_planes.datasets.base import SPLITS, Arrays, Info
from raytune_planes.datasets.filling import MASKS
from raytune_planes.datasets.pending import STATE, Pending, State
from raytune_planes.datasets.records import Records
from raytune_planes.datasets.sizes import Sizes
from raytune_planes.errors import UserError


def is_here(folder: Path) -> bool:
    """Whether ``open_cached`` finds anything at ``folder``."""
    with storage.guard(folder.parent):
        return folder.is_dir() or building.room_here(folder, STATE) is not None


def open_cached(folder: Path) -> Arrays:
    """Open an entry of the cache by its folder, without a reader or the original files; also one that a process of this
    machine decodes while its rows are used already.

    Raises:
        UserError: there is none at ``folder``.
    """
    try:
        with storage.guard(folder.parent):
            return _filling(folder) or _open(folder)
    except (OSError, ValueError) as error:
        raise UserError(f"no decoded dataset at {folder} ({error}); decode the dataset again") from error


def opened_again(folder: Path) -> Arrays | None:
    """An entry that was there before; None when it has been removed."""
    with storage.guard(folder.parent):
        return sound(folder)


def sound(folder: Path) -> Arrays | None:
    """The entry, or None when it is absent; one that a fault of the disk cut short is removed. Call under ``guard``."""
    try:
        return _open(folder)
    except (FileNotFoundError, ValueError):
        if folder.is_dir():
            storage.discard(folder)
        return None


def _open(folder: Path, shown: Callable[[np.ndarray], np.ndarray] = lambda held: held) -> Arrays:
    """Call under ``storage.guard``: no other process may remove the folder between two of its files.

    ``shown``: what stands for a mapped array of pictures.
    """
    about = json.loads((folder / "info.json").read_text(encoding="utf-8"))
    info = Info.of_json(about["info"])

    def pictures(name: str) -> np.ndarray:
        shape = about["compressed"].get(name)
        return (
            shown(storage.mapped(folder / name)) if shape is None else cast(np.ndarray, Records(folder / name, shape))
        )

    with suppress(OSError):  # a cache that is read-only to us
        os.utime(folder)
    images_NHWC = pictures(storage.WITNESS)
    return Arrays(
        info=info,
        images_NHWC=images_NHWC,
        labels_N=storage.mapped(folder / "labels.npy"),
        masks_NHW=pictures(MASKS) if info.has_masks else None,
        boxes_NM4=storage.mapped(folder / "boxes.npy") if info.has_boxes else None,
        splits={split: storage.mapped(folder / f"{split}.npy") for split in SPLITS},
        fingerprint=folder.name,
        synthetic=about["synthetic"],
        warnings=tuple(about["warnings"]),
        of_group_N=storage.mapped(folder / "groups.npy"),
        copy_N=storage.mapped(folder / "copies.npy") if (folder / "copies.npy").exists() else None,
        sizes=Sizes.of_json(about["sizes"]),
        scenes=scene_files.opened(folder, images_NHWC.shape[1], bool(about["compressed"])) if about["scenes"] else None,
    )


def _filling(folder: Path) -> Arrays | None:
    """An entry that is being decoded and may be used; None where there is none. Call under ``storage.guard``."""
    found = None if folder.is_dir() else building.room_here(folder, STATE)
    if found is None:
        return None
    room, lives = found
    state = State(room / STATE)
    arrays = _open(room, lambda held: cast(np.ndarray, Pending(held, state, lives)))
    return replace(arrays, fingerprint=folder.name)
