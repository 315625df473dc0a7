"""Training pictures that show what another one shows already: found in what is decoded, and left out."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from raytune_planes.datasets import crops
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.hygiene.copies import find_copies
from raytune_planes.datasets.hygiene.pictures import THUMB, Pictures, chunks, grey


def unrepeated(arrays: Arrays) -> np.ndarray:
    """Ascending int64 indexes: the training pictures without those that are copies of a validation picture or of an
    earlier training picture of the same class.

    Copies are identical, or turned, mirrored or resized, as ``data`` finds them, here by what was decoded.
    """
    val_N, train_N = np.sort(arrays.splits["val"]), np.sort(arrays.splits["train"])
    index_N = np.concatenate([val_N, train_N])
    if not len(index_N):
        return train_N
    pictures = _pictures(arrays, index_N)
    found = find_copies(pictures)
    pairs = [(group[0], other) for group in found.identical for other in group[1:]]
    pairs = [(a, b) for a, b in pairs if pictures.labels_N[a] == pictures.labels_N[b]]
    pairs += [(min(each.first, each.second), max(each.first, each.second)) for each in found.within]
    left = {later for _, later in pairs if later >= len(val_N)}
    return index_N[[place for place in range(len(val_N), len(index_N)) if place not in left]]


def _pictures(arrays: Arrays, index_N: np.ndarray) -> Pictures:
    """What copies are found by; the columns that only ``data`` tells of are empty."""
    count = len(index_N)
    contents: list[bytes] = []
    thumbs = []
    for some_N in chunks(index_N, 512):
        pixels_NHWC = np.array(arrays.images_NHWC[some_N])
        contents += [hashlib.blake2b(own.tobytes(), digest_size=16).digest() for own in pixels_NHWC]
        thumbs.append(crops.resized(torch.from_numpy(pixels_NHWC), THUMB).numpy())
    thumbs_NHWC = np.concatenate(thumbs)
    return Pictures(
        names=(),
        labels_N=np.asarray(arrays.labels_N)[index_N],
        splits=(),
        groups=(),
        sizes_N2=np.ones((count, 2), np.int64),
        modes=(),
        misnamed_N=np.zeros(count, bool),
        brightness_N=np.zeros(count),
        contrast_N=np.concatenate([grey(some).std((1, 2)) / 255 for some in chunks(thumbs_NHWC)]),
        blank_N=np.zeros(count, bool),
        contents=tuple(contents),
        thumbs_NHWC=thumbs_NHWC,
        places_N2=np.full((count, 2), np.nan),
        unreadable={},
    )
