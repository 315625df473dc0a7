"""Which pictures are there more than once: identical, or turned, mirrored or resized; and crops of the same ground."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from raytune_planes.datasets.hygiene.hashing import SYMMETRIES, Symmetry, frequencies, near_pairs
from raytune_planes.datasets.hygiene.pictures import Pictures, chunks, grey

SSIM = 0.95
"""Least structural similarity of copies within a class."""
COSINE = 0.99
"""Least cosine, about their means, of pictures of different classes that look alike."""
BLANK = 3 / 255
"""Contrast below which pictures all look alike and are compared for identity only."""
WINDOW = 7
"""Side in thumbnail pixels of the windows of structural similarity."""
METRES = 111_320.0
"""Of a degree of latitude."""


class Alike(NamedTuple):
    """Two pictures (numbers of ``Pictures``) that show the same, and how like each other they are."""

    first: int
    second: int
    likeness: float
    turned: bool
    """One is mirrored or turned."""
    resized: bool


@dataclass(frozen=True)
class Copies:
    """What is there more than once. Numbers are those of ``Pictures``."""

    identical: tuple[tuple[int, ...], ...]
    """Groups with the same pixels, whatever their labels."""
    within: tuple[Alike, ...]
    """Of one class, by structural similarity; identical ones are not among them."""
    across: tuple[Alike, ...]
    """Of two classes, by cosine; identical ones are not among them."""
    blank: int
    """Pictures with too little contrast to be compared for more than identity."""
    crops: tuple[tuple[int, int], ...]
    """Pictures of two classes that show overlapping ground of one scene."""


def find_copies(pictures: Pictures, extent_m: float = 0.0) -> Copies:
    """Compare all pictures; time and memory grow with their number, not with its square.

    Args:
        extent_m: side of the ground that a picture shows, in metres; 0 where that is unknown.
    """
    contents: dict[bytes, list[int]] = defaultdict(list)
    for i, content in enumerate(pictures.contents):
        contents[content].append(i)
    vivid = np.flatnonzero(pictures.contrast_N >= BLANK)
    first_of = np.array([contents[content][0] for content in pictures.contents], np.int64)
    vivid = vivid[first_of[vivid] == vivid]  # of identical pictures one stands for all
    within: dict[tuple[int, int], Alike] = {}
    across: dict[tuple[int, int], Alike] = {}
    for symmetry, pairs in near_pairs(frequencies(pictures.thumbs_NHWC[vivid])):
        for chunk in chunks(vivid[pairs]):
            same = pictures.labels_N[chunk[:, 0]] == pictures.labels_N[chunk[:, 1]]
            _keep(within, pictures, chunk[same], symmetry)
            _keep(across, pictures, chunk[~same], symmetry, across=True)
    return Copies(
        identical=tuple(tuple(group) for group in contents.values() if len(group) > 1),
        within=tuple(within.values()),
        across=tuple(across.values()),
        blank=int((pictures.contrast_N < BLANK).sum()),
        crops=tuple(_crops(pictures, extent_m)) if extent_m else (),
    )


def similarity(first_NHW: np.ndarray, second_NHW: np.ndarray) -> np.ndarray:
    """Mean structural similarity (Wang et al. 2004) of grey pictures in [0, 255], with even windows; [N]."""
    mean_1, mean_2 = _means(first_NHW), _means(second_NHW)
    variance_1, variance_2 = _means(first_NHW**2) - mean_1**2, _means(second_NHW**2) - mean_2**2
    covariance = _means(first_NHW * second_NHW) - mean_1 * mean_2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    light = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    structure = (2 * covariance + c2) / (variance_1 + variance_2 + c2)
    mean: np.ndarray = (light * structure).mean((1, 2))
    return mean


def cosine(first_NHWC: np.ndarray, second_NHWC: np.ndarray) -> np.ndarray:
    """Cosine of the pixels about each picture's mean, so that brightness alone makes nothing alike; [N]."""
    a, b = (x.reshape(len(x), -1).astype(np.float32) for x in (first_NHWC, second_NHWC))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    product: np.ndarray = (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-9)
    return product


def _keep(
    found: dict[tuple[int, int], Alike], pictures: Pictures, pairs: np.ndarray, symmetry: Symmetry, across: bool = False
) -> None:
    """Add the pairs that are alike, each with the symmetry under which they are most so."""
    if not len(pairs):
        return
    turned = symmetry.apply(pictures.thumbs_NHWC[pairs[:, 0]])
    other = pictures.thumbs_NHWC[pairs[:, 1]]
    likeness_P = cosine(turned, other) if across else similarity(grey(turned), grey(other))
    for i in np.flatnonzero(likeness_P >= (COSINE if across else SSIM)).tolist():
        a, b = pairs[i].tolist()
        resized = sorted(pictures.sizes_N2[a].tolist()) != sorted(pictures.sizes_N2[b].tolist())
        alike = Alike(a, b, float(likeness_P[i]), symmetry != SYMMETRIES[0], resized)
        if (a, b) not in found or alike.likeness > found[a, b].likeness:
            found[a, b] = alike


def _means(images_NHW: np.ndarray) -> np.ndarray:
    sums = np.pad(images_NHW.astype(np.float64).cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    w = WINDOW
    total: np.ndarray = sums[:, w:, w:] - sums[:, :-w, w:] - sums[:, w:, :-w] + sums[:, :-w, :-w]
    return total / w**2


def _crops(pictures: Pictures, extent_m: float) -> list[tuple[int, int]]:
    """Pairs of one scene with different labels whose centres are nearer than ``extent_m``."""
    scenes: dict[str, list[int]] = defaultdict(list)
    for i in np.flatnonzero(np.isfinite(pictures.places_N2[:, 0])).tolist():
        scenes[pictures.groups[i]].append(i)
    pairs = []
    for members in scenes.values():
        here = np.array(members)
        low, high = (here[pictures.labels_N[here] == label] for label in (0, 1))
        longitude, latitude = (pictures.places_N2[:, axis] for axis in (0, 1))
        north = (latitude[high][:, None] - latitude[low]) * METRES
        east = (longitude[high][:, None] - longitude[low]) * METRES * np.cos(np.radians(latitude[low]))
        rows, columns = np.nonzero(np.hypot(north, east) < extent_m)
        pairs += list(zip(high[rows].tolist(), low[columns].tolist(), strict=True))
    return pairs
