"""Decodes each picture once per machine and size into memory-mapped arrays that all trials share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from raytune_planes.datasets import building, notes, scene_files, storage
from raytune_planes.datasets.base import SPLITS, Arrays, Info, Reader
from raytune_planes.datasets.cleaning import Plan, cleaned
from raytune_planes.datasets.filling import Progress, fill
from raytune_planes.datasets.fingerprint import fingerprint
from raytune_planes.datasets.known import Found, Known
from raytune_planes.datasets.sizes import Sizes
from raytune_planes.errors import DISK_FULL, UserError
from raytune_planes.paths import local, own_folder
from raytune_planes.processors import allowed

LIMIT_GIB = 20.0


def default_cache() -> Path:
    """``raytune-planes`` under ``$XDG_CACHE_HOME``, or under ``~/.cache``.

    Where the user's home is not there and cannot be made, as in containers that run as any user, it is a folder of this
    user among the temporary ones, and a warning says so once.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named:
        return local(named) / "raytune-planes"
    return own_folder(Path("~/.cache/raytune-planes"), "decoded pictures", "--cache or XDG_CACHE_HOME")


def entry(cache: Path, fingerprint: str) -> Path:
    """The folder that ``open_cached`` opens, to be handed to a process that has no reader."""
    return cache / fingerprint


def decode(
    reader: Reader,
    cache: Path,
    *,
    plan: Plan | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
    limit_bytes: int = round(LIMIT_GIB * 2**30),
    say: Callable[[str], None] = lambda _: None,
) -> Arrays:
    """The reader's dataset as read-only arrays: built on the first call, opened from then on.

    Files are identified by name, size and time of change; while none below the root has changed, none is opened again.
    An entry appears whole or not at all, so a killed build is never read. Of processes that ask for one entry at the
    same time, also on machines that share the folder, one builds it and the others wait.

    Args:
        plan: what is left out; a picture that it drops is never decoded.
        progress: called in this thread with (pictures done, pictures in all) while building.
        workers: decoding threads; None for one per processor that this process may use. Pillow decodes without
            holding Python's lock.
        limit_bytes: size of ``cache`` above which entries that no process uses are removed, longest unopened first.
        say: called when another process is waited for.

    Raises:
        UserError: the dataset is missing or malformed, pictures cannot be decoded (names the first few, counts all),
            or the cache cannot be written.
    """
    known = Known(cache, reader, plan)
    found = known.found()
    with _refusing(cache, reader):
        arrays = found and _opened_again(entry(cache, found.fingerprint))
    if not found or not arrays:
        listing = reader.scan() if plan is None else cleaned(reader.scan(), reader.root, plan)
        assert listing.samples, f"{type(reader).__name__} listed nothing"
        found = Found(fingerprint(reader, listing), tuple(listing.warnings))
        folder = entry(cache, found.fingerprint)
        size = len(listing.samples) * reader.image_size**2 * (4 if listing.info.has_masks else 3)
        with _refusing(cache, reader, size):
            cache.mkdir(parents=True, exist_ok=True)
            arrays = building.once(
                folder,
                ready=lambda: _sound(folder),
                build=lambda room: fill(reader, listing, room, folder.name, workers or allowed(), progress),
                say=lambda text: say(f"{listing.info.name}: {text}"),
            )
        known.remember(found)
    with _refusing(cache, reader):
        storage.evict(cache, limit_bytes, keep=entry(cache, found.fingerprint))
    return replace(arrays, warnings=(*found.warnings, *notes.warnings_of(arrays.info)))


def open_cached(folder: Path) -> Arrays:
    """Open an entry of the cache by its folder, without a reader or the original files.

    Raises:
        UserError: there is no whole entry at ``folder``.
    """
    try:
        with storage.guard(folder.parent):
            return _open(folder)
    except (OSError, ValueError) as error:
        raise UserError(f"no decoded dataset at {folder} ({error}); decode the dataset again") from error


@contextmanager
def _refusing(cache: Path, reader: Reader, size: int = 0) -> Iterator[None]:
    """Tells people what a failing disk means; ``size`` bytes were to be written."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise UserError(
                f"{reader.name_in_study}: no space for {size / 2**20:,.0f} MiB of decoded pictures in {cache}"
                f" ({error.strerror}); free some space, name another cache folder or lower its image_size"
            ) from error
        raise UserError(f"the cache folder {cache} cannot be used: {error}; name another") from error


def _opened_again(folder: Path) -> Arrays | None:
    """An entry that was there before; None when it has been removed."""
    with storage.guard(folder.parent):
        return _sound(folder)


def _sound(folder: Path) -> Arrays | None:
    """The entry, or None when it is absent; one that a fault of the disk cut short is removed. Call under ``guard``."""
    try:
        return _open(folder)
    except (FileNotFoundError, ValueError):
        if folder.is_dir():
            storage.discard(folder)
        return None


def _open(folder: Path) -> Arrays:
    """Call under ``storage.guard``: no other process may remove the folder between two of its files."""
    about = json.loads((folder / "info.json").read_text(encoding="utf-8"))
    info = Info.of_json(about["info"])
    with suppress(OSError):  # a cache that is read-only to us
        os.utime(folder)
    images_NHWC = storage.mapped(folder / storage.WITNESS)
    return Arrays(
        info=info,
        images_NHWC=images_NHWC,
        labels_N=storage.mapped(folder / "labels.npy"),
        masks_NHW=storage.mapped(folder / "masks.npy") if info.has_masks else None,
        boxes_NM4=storage.mapped(folder / "boxes.npy") if info.has_boxes else None,
        splits={split: storage.mapped(folder / f"{split}.npy") for split in SPLITS},
        fingerprint=about["fingerprint"],
        synthetic=about["synthetic"],
        warnings=tuple(about["warnings"]),
        of_group_N=storage.mapped(folder / "groups.npy"),
        sizes=Sizes.of_json(about["sizes"]),
        scenes=scene_files.opened(folder, images_NHWC.shape[1]) if about.get("scenes") else None,
    )
