"""Which training image stands at which place of an endless stream: a pure function of seed, dataset and place."""

from __future__ import annotations

from typing import Protocol
from zlib import crc32

import numpy as np

SUBSET, SHUFFLE, AUGMENT, BLEND, HIDE, MOVE, VIEW = range(7)
"""Purposes of a draw: each has random numbers of its own."""


def seeds(seed: int, dataset: str, *more: int) -> np.random.SeedSequence:
    """Independent random numbers for every (seed, dataset, purpose, ...)."""
    return np.random.SeedSequence([seed, crc32(dataset.encode()), *more])


class Stream(Protocol):
    """An endless sequence of images."""

    def at(self, places: np.ndarray) -> np.ndarray:
        """The images, as indexes into the dataset's arrays, at these places (int64, 0 is the first)."""


class Shuffled:
    """Pass after pass over the images, each in an order of its own; every image once in each pass."""

    def __init__(self, images_N: np.ndarray, seed: int, dataset: str, *key: int) -> None:
        assert len(images_N), "a stream needs an image"
        self._images_N, self._seed, self._dataset, self._key = images_N, seed, dataset, key
        self._orders: dict[int, np.ndarray] = {}

    def at(self, places: np.ndarray) -> np.ndarray:
        passes, offsets = np.divmod(places, len(self._images_N))
        chosen = np.empty(len(places), np.int64)
        for number in np.unique(passes).tolist():
            here = passes == number
            chosen[here] = self._order(number)[offsets[here]]
        return chosen

    def _order(self, number: int) -> np.ndarray:
        if number not in self._orders:  # memory only: the last two passes, for batches that lie across their border
            random = np.random.Generator(np.random.PCG64(seeds(self._seed, self._dataset, SHUFFLE, *self._key, number)))
            self._orders = {k: v for k, v in self._orders.items() if k == number - 1}
            self._orders[number] = random.permutation(self._images_N)
        return self._orders[number]


class Balanced:
    """Rounds of one image of every class, the classes in random order; inside a class, pass after pass."""

    def __init__(self, images_N: np.ndarray, labels_N: np.ndarray, seed: int, dataset: str) -> None:
        """``labels_N`` are the labels of ``images_N``; a class without images takes no part."""
        present = np.unique(labels_N)
        self._rounds = Shuffled(np.arange(len(present)), seed, dataset)
        self._classes = [
            Shuffled(images_N[labels_N == label], seed, dataset, k) for k, label in enumerate(present.tolist())
        ]

    def at(self, places: np.ndarray) -> np.ndarray:
        classes, rounds = self._rounds.at(places), places // len(self._classes)
        chosen = np.empty(len(places), np.int64)
        for k in np.unique(classes).tolist():
            here = classes == k
            chosen[here] = self._classes[k].at(rounds[here])  # a round holds each class once, so it counts its draws
        return chosen


def stratified(labels_N: np.ndarray, limit: int, seed: int, dataset: str) -> np.ndarray:
    """Sorted positions of at most ``limit`` of the labels, every class in proportion; all of them for ``limit`` 0.

    Every class keeps one as long as ``limit`` reaches; the rest goes by largest remainder. A class's part is the
    beginning of one fixed order of it.

    Args:
        labels_N: The class of each sample.
        limit: Samples to keep; 0 for all.
        seed: Of the order.
        dataset: Its name, so that datasets with equal labels get different orders.

    Returns:
        Positions in ``labels_N``, ascending.
    """
    if limit == 0 or limit >= len(labels_N):
        return np.arange(len(labels_N))
    classes, sizes = np.unique(labels_N, return_counts=True)
    least = np.ones_like(sizes) if limit >= len(classes) else np.zeros_like(sizes)
    exact = sizes * (limit / len(labels_N))
    quotas = np.maximum(least, np.floor(exact).astype(np.int64))
    while quotas.sum() != limit:
        step = 1 if quotas.sum() < limit else -1
        open_to_change = quotas < sizes if step > 0 else quotas > least
        gap = np.where(open_to_change, (exact - quotas) * step, -np.inf)
        quotas[np.argmax(gap)] += step
    random = np.random.Generator(np.random.PCG64(seeds(seed, dataset, SUBSET)))
    orders = [random.permutation(np.flatnonzero(labels_N == label)) for label in classes]
    return np.sort(np.concatenate([order[:quota] for order, quota in zip(orders, quotas, strict=True)]))
