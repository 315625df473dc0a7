"""Decodes the pictures of a listing into the files of an entry of the cache, with all processors."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path

import numpy as np

from raytune_planes.datasets import boxes, files, ranges, storage
from raytune_planes.datasets.base import SPLITS, Listing, Reader, Sample
from raytune_planes.datasets.scene_files import Writer
from raytune_planes.errors import UserError

Progress = Callable[[int, int], None]


def fill(
    reader: Reader, listing: Listing, folder: Path, fingerprint: str, workers: int, progress: Progress | None
) -> None:
    """Write the entry of ``fingerprint`` into ``folder``, which is empty; all is on the disk when it returns.

    Raises:
        UserError: pictures cannot be decoded; names the first few, counts all.
        OSError: the files cannot be written.
    """
    listing = ranges.with_range(reader, listing, workers)
    count, side, info = len(listing.samples), reader.image_size, listing.info
    with ExitStack() as stack:
        images = stack.enter_context(closing(storage.Blank(folder / storage.WITNESS, (count, side, side, 3))))
        masks = None
        if info.has_masks:
            masks = stack.enter_context(closing(storage.Blank(folder / "masks.npy", (count, side, side))))
        numbered, groups_N = np.unique([s.group for s in listing.samples], return_inverse=True)
        scenes = None
        if listing.scenes:
            scenes = stack.enter_context(closing(Writer(reader, listing, folder, numbered.tolist())))
        _decode_all(reader, listing.samples, images, masks, scenes, workers, progress)
        images.finish()
        if scenes is not None:
            scenes.finish()
        if masks is not None:
            masks.finish()
    if info.has_boxes:
        storage.save(folder / "boxes.npy", boxes.padded(listing.samples))
    storage.save(folder / "labels.npy", np.array([s.label for s in listing.samples], np.int64))
    storage.save(folder / "groups.npy", groups_N.astype(np.int64))
    for split in SPLITS:
        storage.save(folder / f"{split}.npy", np.array(listing.splits[split], np.int64))
    about = {
        "info": asdict(info),
        "fingerprint": fingerprint,
        "synthetic": listing.synthetic,
        "warnings": list(listing.warnings),
        "sizes": asdict(reader.sizes(listing)),
        "scenes": bool(listing.scenes),
    }
    with (folder / "info.json").open("w", encoding="utf-8") as file:
        json.dump(about, file)
        file.flush()
        os.fsync(file.fileno())
    storage.sync_folder(folder)


def _decode_all(
    reader: Reader,
    samples: tuple[Sample, ...],
    images: storage.Blank,
    masks: storage.Blank | None,
    scenes: Writer | None,
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
            if scenes is not None:
                scenes.write(own, samples[row].path)
        return len(run), wrong

    unreadable: dict[Path, str] = {}
    done = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for future in as_completed([pool.submit(decode_run, run) for run in runs(samples, workers)]):
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


def runs(samples: tuple[Sample, ...], workers: int) -> Iterator[range]:
    """Cut the samples into several runs per worker, never between two samples of one file."""
    least, start = min(256, max(1, len(samples) // (8 * workers))), 0
    for row in range(1, len(samples) + 1):
        if row == len(samples) or (row - start >= least and samples[row].path != samples[row - 1].path):
            yield range(start, row)
            start = row
