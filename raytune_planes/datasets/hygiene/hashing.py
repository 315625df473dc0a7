"""Perceptual hashes that turn with the picture, and pairs of near hashes without comparing all with all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from raytune_planes.datasets.hygiene.pictures import THUMB, chunks, grey

LOW = 8
"""Frequencies along each side that make a hash: 64 bits, of which the mean's is always 0."""
NEAR = 10
"""Bits in which the hashes of two copies may differ."""
BANDS = 4
"""Parts of a hash, of which one must be equal: a copy within 3 bits is never missed, one within 10 seldom."""
CROWDED = 400
"""Pictures with one part in common that are still compared: beyond, that part tells nothing and costs a square."""
AT_ONCE = 1_000_000
"""Pairs compared at a time: 40 MiB."""


class Symmetry(NamedTuple):
    """One of the eight ways to turn and mirror a square: transpose first, then mirror."""

    transpose: bool
    up_down: bool
    left_right: bool

    def apply(self, images_NHWC: np.ndarray) -> np.ndarray:
        turned = images_NHWC.swapaxes(1, 2) if self.transpose else images_NHWC
        return turned[:, :: -1 if self.up_down else 1, :: -1 if self.left_right else 1]


SYMMETRIES = tuple(Symmetry(t, u, v) for t in (False, True) for u in (False, True) for v in (False, True))
POPCOUNT = np.array([bin(word).count("1") for word in range(1 << 16)], np.uint8)


def frequencies(thumbs_NHWC: np.ndarray) -> np.ndarray:
    """The lowest ``LOW`` x ``LOW`` coefficients of the cosine transform of each picture's brightness, [N, LOW, LOW]."""
    rows, columns = np.arange(LOW)[:, None], np.arange(THUMB)[None]
    basis = np.cos(np.pi * (columns + 0.5) * rows / THUMB).astype(np.float32)
    parts = [basis @ grey(chunk) @ basis.T for chunk in chunks(thumbs_NHWC)]
    return np.concatenate(parts) if parts else np.zeros((0, LOW, LOW), np.float32)


def hashes(frequencies_NFF: np.ndarray, symmetry: Symmetry = SYMMETRIES[0]) -> np.ndarray:
    """The signs of the frequencies as uint64 [N], of the picture as ``symmetry`` would show it.

    Mirroring a picture changes the sign of its odd frequencies, so no picture is turned to be hashed.
    """
    turned = frequencies_NFF.swapaxes(1, 2) if symmetry.transpose else frequencies_NFF
    odd = np.where(np.arange(LOW) % 2, -1, 1)
    sign = (odd if symmetry.up_down else np.ones(LOW))[:, None] * (odd if symmetry.left_right else np.ones(LOW))[None]
    bits = (turned * sign > 0).reshape(-1, LOW * LOW)
    bits[:, 0] = False
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def near_pairs(frequencies_NFF: np.ndarray) -> Iterator[tuple[Symmetry, np.ndarray]]:
    """Pairs (int64 [P, 2]) for each symmetry under which the first's hash is within ``NEAR`` of the second's."""
    own_N = hashes(frequencies_NFF)
    for symmetry in SYMMETRIES:
        turned_N = own_N if symmetry == SYMMETRIES[0] else hashes(frequencies_NFF, symmetry)
        of_bands = [pairs for band in range(BANDS) for pairs in _sharing(turned_N, own_N, band)]
        if of_bands:
            yield symmetry, np.unique(np.concatenate(of_bands), axis=0)


def _sharing(turned_N: np.ndarray, own_N: np.ndarray, band: int) -> Iterator[np.ndarray]:
    """Near pairs whose hashes share their part ``band``."""
    part_of_own, part_of_turned = _words(own_N)[:, band], _words(turned_N)[:, band]
    order = np.argsort(part_of_own, kind="stable")
    sorted_parts = part_of_own[order]
    first = np.searchsorted(sorted_parts, part_of_turned, "left")
    count = np.searchsorted(sorted_parts, part_of_turned, "right") - first
    count[count > CROWDED] = 0
    # Rows in runs of at most AT_ONCE pairs.
    ends = np.searchsorted(np.cumsum(count), np.arange(AT_ONCE, count.sum() + AT_ONCE, AT_ONCE), "right")
    start = 0
    for end in np.unique(np.append(ends, len(count))).tolist():
        rows = np.repeat(np.arange(start, end), count[start:end])
        place = np.arange(len(rows)) - np.repeat(np.cumsum(count[start:end]) - count[start:end], count[start:end])
        others = order[np.repeat(first[start:end], count[start:end]) + place]
        once = rows < others
        rows, others = rows[once], others[once]
        near = POPCOUNT[_words(turned_N[rows] ^ own_N[others])].sum(1, dtype=np.int64) <= NEAR
        yield np.stack([rows[near], others[near]], axis=1)
        start = end


def _words(hashes_N: np.ndarray) -> np.ndarray:
    """uint16 [N, BANDS]."""
    return np.ascontiguousarray(hashes_N).view(np.uint16).reshape(-1, BANDS)
