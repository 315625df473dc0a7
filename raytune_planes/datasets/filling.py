"""Decodes the pictures of a listing into the files of an entry of the cache, with all processors."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from raytune_planes.datasets import boxes, files, ranges, records, scene_files, split_folders, storage
from raytune_planes.datasets.base import SPLITS, Listing, Reader, Sample
from raytune_planes.datasets.crew import each
from raytune_planes.datasets.early import Early
from raytune_planes.datasets.images import Decoded
from raytune_planes.datasets.pending import BrokenPictures
from raytune_planes.errors import UserError

Progress = Callable[[int, int], None]
Written = storage.Blank | records.Writer
MASKS = "masks.npy"


def shapes(reader: Reader, listing: Listing) -> dict[str, tuple[int, ...]]:
    """Of the decoded arrays of bytes, by the names of their files: N x H x W x 3, and N x H x W for masks."""
    count, side = len(listing.samples), reader.image_size
    found: dict[str, tuple[int, ...]] = {storage.WITNESS: (count, side, side, 3)}
    return {**found, MASKS: (count, side, side)} if listing.info.has_masks else found


def size(reader: Reader, listing: Listing) -> int:
    """Bytes of the decoded pictures and masks, and of the scenes that they are tiles of."""
    return sum(map(prod, shapes(reader, listing).values())) + scene_files.size(reader, listing)


@dataclass(frozen=True)
class Target:
    """One size of a dataset, and the empty folder that it is decoded into."""

    reader: Reader
    listing: Listing
    folder: Path
    compressed: bool = False
    """Whether pictures and masks are kept as ``records``, instead of ready to be mapped."""

    def written(self, name: str, shape: tuple[int, ...]) -> Written:
        """The file ``name`` of the entry, to be filled."""
        path = self.folder / name
        return records.Writer(path, shape, self.reader.options.kept) if self.compressed else storage.Blank(path, shape)

    @property
    def size(self) -> int:
        """Bytes of the decoded pictures, masks and scenes."""
        return size(self.reader, self.listing)

    @cached_property
    def groups(self) -> tuple[np.ndarray, np.ndarray]:
        """The groups, sorted, and the number of each sample's."""
        names, numbers_N = np.unique([sample.group for sample in self.listing.samples], return_inverse=True)
        return names, numbers_N

    def scenes(self) -> scene_files.Writer:
        return scene_files.Writer(self.reader, self.listing, self.folder, self.groups[0].tolist(), self.compressed)


def fill(targets: Sequence[Target], workers: int, progress: Progress | None = None, early: Early | None = None) -> None:
    """Write all files of the targets' entries; they are on the disk when this returns.

    Args:
        targets: of the same samples at several sizes. Each file is gone through once: what a size needs to decode of it
            serves every other that needs the same, so that all are as if each had been decoded alone.
        early: lets the rows of the only target be used while the others are decoded; it is not compressed.

    Raises:
        BrokenPictures: some cannot be decoded; names the first few, counts all.
        OSError: the files cannot be written.
    """
    first, *others = targets
    listing = ranges.with_range(first.reader, first.listing, workers, early.each if early else iter)
    for other in others:  # the same pictures have the same range
        other.reader.values = first.reader.values
    with ExitStack() as stack:
        written = [
            {
                name: stack.enter_context(closing(target.written(name, shape)))
                for name, shape in shapes(target.reader, target.listing).items()
            }
            for target in targets
        ]
        scenes = [stack.enter_context(closing(target.scenes())) if listing.scenes else None for target in targets]
        into = [(w[storage.WITNESS], w.get(MASKS), s) for w, s in zip(written, scenes, strict=True)]
        if early is not None:
            with suppress(UserError):  # a training picture that cannot be opened: decoding names it with the others
                _describe_all(targets, listing)
                early.begin(first.folder, len(listing.samples))
        _decode_all([target.reader for target in targets], listing.samples, into, workers, progress, early)
        for *files_of_one, scenes_of_one in into:
            for file in (*files_of_one, scenes_of_one):
                if file is not None:
                    file.finish()
    if early is None or early.room is None:
        _describe_all(targets, listing)


def _describe_all(targets: Sequence[Target], listing: Listing) -> None:
    """Raises UserError: the size of a training picture cannot be read."""
    sizes = asdict(targets[0].reader.sizes(listing))
    for target in targets:
        info = replace(target.listing.info, values=listing.info.values)
        _describe(target, replace(target.listing, info=info), sizes)


def _describe(target: Target, listing: Listing, sizes: Mapping[str, Any]) -> None:
    """Write all but pictures and masks of ``listing``, the target's own with the range of its pictures.

    ``sizes``: of the training pictures' files, as plain values.
    """
    folder = target.folder
    if listing.info.has_boxes:
        storage.save(folder / "boxes.npy", boxes.padded(listing.samples))
    storage.save(folder / "labels.npy", np.array([s.label for s in listing.samples], np.int64))
    storage.save(folder / "groups.npy", target.groups[1].astype(np.int64))
    copies = np.array([split_folders.is_augmented(s.path.name) for s in listing.samples])
    if copies.any():
        storage.save(folder / "copies.npy", copies)
    for split in SPLITS:
        storage.save(folder / f"{split}.npy", np.array(listing.splits[split], np.int64))
    about = {
        "info": asdict(listing.info),
        "synthetic": listing.synthetic,
        "warnings": list(listing.warnings),
        "sizes": sizes,
        "scenes": bool(listing.scenes),
        "compressed": shapes(target.reader, listing) if target.compressed else {},
    }
    with (folder / "info.json").open("w", encoding="utf-8") as file:
        json.dump(about, file)
        file.flush()
        os.fsync(file.fileno())
    storage.sync_folder(folder)


def _decode_all(
    readers: Sequence[Reader],
    samples: tuple[Sample, ...],
    written: Sequence[tuple[Written, Written | None, scene_files.Writer | None]],
    workers: int,
    progress: Progress | None,
    early: Early | None,
) -> None:
    def decode_run(run: Sequence[int]) -> tuple[int, dict[Path, str]]:
        own, wrong = list(map(copy.copy, readers)), dict[Path, str]()  # one may remember the last scene it decoded
        shared = Decoded() if len(own) > 1 else None
        for reader in own:
            reader.shared = shared
        for row in run:
            if samples[row].path in wrong:
                continue
            for reader, (images, masks, scenes) in zip(own, written, strict=True):
                try:
                    image, mask = reader.load(samples[row])
                except UserError as error:
                    wrong[samples[row].path] = str(error)
                    break
                images.write(row, image)
                assert (mask is None) == (masks is None), f"has_masks and the mask of {samples[row].path} disagree"
                if masks is not None and mask is not None:
                    masks.write(row, mask)
                if scenes is not None:
                    scenes.write(reader, samples[row].path)
        if early is not None:
            early.done(run, [row for row in run if samples[row].path in wrong])
        return len(run), wrong

    unreadable: dict[Path, str] = {}
    done = 0
    order = runs(samples, workers) if early is None else early.order(samples)
    for length, wrong in each(decode_run, order, workers, "decode"):
        unreadable |= wrong
        done += length
        if progress:
            progress(done, len(samples))
    if unreadable:
        raise BrokenPictures(str(files.unreadable(unreadable)))


def runs(samples: tuple[Sample, ...], workers: int) -> Iterator[range]:
    """Cut the samples into several runs per worker, never between two samples of one file."""
    least, start = min(256, max(1, len(samples) // (8 * workers))), 0
    for row in range(1, len(samples) + 1):
        if row == len(samples) or (row - start >= least and samples[row].path != samples[row - 1].path):
            yield range(start, row)
            start = row
