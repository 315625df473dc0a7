"""Decodes each picture once per machine and size into memory-mapped arrays that all trials share."""

from __future__ import annotations

import copy
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from raytune_planes.datasets import boxes, files, ranges, storage
from raytune_planes.datasets.base import SPLITS, Arrays, Info, Listing, Reader, Sample
from raytune_planes.datasets.cleaning import Plan, cleaned
from raytune_planes.datasets.fingerprint import fingerprint
from raytune_planes.datasets.sizes import Sizes
from raytune_planes.errors import NO_ROOM, UserError
from raytune_planes.paths import local
from raytune_planes.processors import allowed

LIMIT_GIB = 20.0

Progress = Callable[[int, int], None]


def default_cache() -> Path:
    """``raytune-planes`` under ``$XDG_CACHE_HOME``, or under ``~/.cache``."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (local(named) if named else Path.home() / ".cache") / "raytune-planes"


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
) -> Arrays:
    """The reader's dataset as read-only arrays: built on the first call, opened from then on.

    Files are identified by name, size and time of change. An entry appears whole or not at all, so a killed build is
    never read; when two processes build the same at once, the later one discards its own.

    Args:
        plan: what is left out; a picture that it drops is never decoded.
        progress: called in this thread with (pictures done, pictures in all) while building.
        workers: decoding threads; None for one per processor that this process may use. Pillow decodes without
            holding Python's lock.
        limit_bytes: size of ``cache`` above which entries that no process uses are removed, longest unopened first.

    Raises:
        UserError: the dataset is missing or malformed, pictures cannot be decoded (names the first few, counts all),
            or the cache cannot be written.
    """
    listing = reader.scan() if plan is None else cleaned(reader.scan(), reader.root, plan)
    assert listing.samples, f"{type(reader).__name__} listed nothing"
    folder = entry(cache, fingerprint(reader, listing))
    try:
        cache.mkdir(parents=True, exist_ok=True)
        arrays = _open_sound(folder) or _build(reader, listing, folder, workers or allowed(), progress)
        storage.evict(cache, limit_bytes, keep=folder)
    except OSError as error:
        if error.errno in NO_ROOM:
            size = len(listing.samples) * reader.image_size**2 * (4 if listing.info.has_masks else 3)
            raise UserError(
                f"{listing.info.name}: no room for {size / 2**20:,.0f} MiB of decoded pictures in {cache}"
                f" ({error.strerror}); free some space, name another cache folder or lower its image_size"
            ) from error
        raise UserError(f"the cache folder {cache} cannot be used: {error}; name another") from error
    return replace(arrays, warnings=(*listing.warnings, *ranges.told(arrays.info)))


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


def _open_sound(folder: Path) -> Arrays | None:
    """The entry, or None when it is absent; one that a fault of the disk cut short is removed."""
    with storage.guard(folder.parent):
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
    return Arrays(
        info=info,
        images_NHWC=storage.mapped(folder / storage.WITNESS),
        labels_N=storage.mapped(folder / "labels.npy"),
        masks_NHW=storage.mapped(folder / "masks.npy") if info.has_masks else None,
        boxes_NM4=storage.mapped(folder / "boxes.npy") if info.has_boxes else None,
        splits={split: storage.mapped(folder / f"{split}.npy") for split in SPLITS},
        fingerprint=about["fingerprint"],
        synthetic=about["synthetic"],
        warnings=tuple(about["warnings"]),
        of_group_N=storage.mapped(folder / "groups.npy"),
        sizes=Sizes.of_json(about["sizes"]),
    )


def _build(reader: Reader, listing: Listing, folder: Path, workers: int, progress: Progress | None) -> Arrays:
    listing = ranges.with_range(reader, listing, workers)
    count, side, info = len(listing.samples), reader.image_size, listing.info
    temporary = folder.with_name(f"{storage.BUILDING}{uuid.uuid4().hex}")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, temporary, ignore_errors=True)
        with storage.guard(folder.parent):
            storage.remove_stale(folder.parent)
            temporary.mkdir()
            images = stack.enter_context(closing(storage.Blank(temporary / storage.WITNESS, (count, side, side, 3))))
        masks = None
        if info.has_masks:
            masks = stack.enter_context(closing(storage.Blank(temporary / "masks.npy", (count, side, side))))
        _decode_all(reader, listing.samples, images, masks, workers, progress)
        images.finish()
        if masks is not None:
            masks.finish()
        if info.has_boxes:
            storage.save(temporary / "boxes.npy", boxes.padded(listing.samples))
        storage.save(temporary / "labels.npy", np.array([s.label for s in listing.samples], np.int64))
        _, groups = np.unique([s.group for s in listing.samples], return_inverse=True)
        storage.save(temporary / "groups.npy", groups.astype(np.int64))
        for split in SPLITS:
            storage.save(temporary / f"{split}.npy", np.array(listing.splits[split], np.int64))
        about = {
            "info": asdict(info),
            "fingerprint": folder.name,
            "synthetic": listing.synthetic,
            "warnings": list(listing.warnings),
            "sizes": asdict(reader.sizes(listing)),
        }
        with (temporary / "info.json").open("w", encoding="utf-8") as file:
            json.dump(about, file)
            file.flush()
            os.fsync(file.fileno())
        storage.sync_folder(temporary)
        with storage.guard(folder.parent):
            if not folder.is_dir():  # else another process was first, and its arrays equal ours
                temporary.rename(folder)
                storage.sync_folder(folder.parent)
            return _open(folder)  # our own files are still open, so the entry is in use from its first moment


def _decode_all(
    reader: Reader,
    samples: tuple[Sample, ...],
    images: storage.Blank,
    masks: storage.Blank | None,
    workers: int,
    progress: Progress | None,
) -> None:
    def decode_run(run: range) -> tuple[int, dict[Path, str]]:
        own, wrong = copy.copy(reader), {}  # a reader may remember the last scene it decoded
        for row in run:
            if samples[row].path in wrong:
                continue
            try:
                image, mask = own.load(samples[row])
            except UserError as error:
                wrong[samples[row].path] = str(error)
                continue
            images.write(row, image)
            assert (mask is None) == (masks is None), f"info.has_masks and the mask of {samples[row].path} disagree"
            if masks is not None and mask is not None:
                masks.write(row, mask)
        return len(run), wrong

    unreadable: dict[Path, str] = {}
    done = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for future in as_completed([pool.submit(decode_run, run) for run in _runs(samples, workers)]):
                length, wrong = future.result()
                unreadable |= wrong
                done += length
                if progress:
                    progress(done, len(samples))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if unreadable:
        raise files.unreadable(unreadable)


def _runs(samples: tuple[Sample, ...], workers: int) -> Iterator[range]:
    """Cut the samples into several runs per worker, never between two samples of one file."""
    least, start = min(256, max(1, len(samples) // (8 * workers))), 0
    for row in range(1, len(samples) + 1):
        if row == len(samples) or (row - start >= least and samples[row].path != samples[row - 1].path):
            yield range(start, row)
            start = row
