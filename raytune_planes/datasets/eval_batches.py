"""Batches of a split in order, for evaluation: each picture once, as it is."""

from __future__ import annotations

from collections.abc import Iterator

from raytune_planes.datasets import sampling
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.loaders import Batch, normalise
from raytune_planes.datasets.pixels import Pixels


def eval_batches(
    arrays: Arrays, split: str, batch_size: int, rank: int = 0, world: int = 1, pixels: Pixels | None = None
) -> Iterator[Batch]:
    """The split in order without augmentation, every sample exactly once over all workers.

    Worker ``rank`` gets every ``world``-th batch, starting with its own number: the batches are the same however many
    workers there are, and so is a loss that depends on what stands together in a batch. Numbers of batches may differ.
    """
    pixels = pixels or Pixels(arrays)
    for start in eval_starts(arrays, split, batch_size, rank, world):
        yield eval_batch_from(start, arrays, split, batch_size, pixels)


def eval_starts(arrays: Arrays, split: str, batch_size: int, rank: int = 0, world: int = 1) -> range:
    """Where in the split the batches of worker ``rank`` begin."""
    return range(rank * batch_size, len(arrays.splits[split]), world * batch_size)


def eval_batch_from(start: int, arrays: Arrays, split: str, batch_size: int, pixels: Pixels) -> Batch:
    """The batch of ``eval_batches`` that begins with picture ``start`` of the split."""
    chosen = arrays.splits[split][start : start + batch_size]
    image_BCHW, mask_BHW = pixels.at(chosen)
    # The same for every seed, so that trials compare.
    hidden_BHW = pixels.hidden(len(chosen), sampling.seeds(0, f"{pixels.name} {split}", sampling.HIDE, start))
    return Batch(
        pixels.name,
        normalise(image_BCHW),
        pixels.labels(chosen),
        mask_BHW,
        hidden_BHW=hidden_BHW,
        boxes_BM4=pixels.boxes(chosen),
    )
