"""Where pictures and prompts of all datasets lie in the space that both were taught, as numbers for a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raytune_planes.report.figure import Missing

PICTURES = 200
"""Most pictures of a dataset."""


@dataclass(frozen=True)
class Embedded:
    """Pictures and prompts of one dataset, before or after they are brought to a plane."""

    classes: tuple[str, ...]
    labels_N: np.ndarray
    """The true classes of the pictures."""
    pictures_NW: np.ndarray
    prompts_KW: np.ndarray
    """Of the classes, K of them."""


@dataclass(frozen=True)
class Map:
    """All datasets in one plane."""

    datasets: Mapping[str, Embedded]
    """W is 2."""
    shares_2: tuple[float, float]
    """Of the variance of all pictures and prompts, that each axis shows."""


def evenly(count: int, most: int = PICTURES) -> list[int]:
    """At most ``most`` of so many positions, evenly between the first and the last."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def in_a_plane(datasets: Mapping[str, Embedded]) -> Map | Missing:
    """The two principal components of all pictures and prompts together (Pearson 1901): no distance is longer than it
    is in the space, and the sum of their squares is as near to it as a plane can come.

    The same rows give the same signs: of each axis the largest component is positive.
    """
    rows_MW = np.concatenate([rows for d in datasets.values() for rows in (d.pictures_NW, d.prompts_KW)])
    rows_MW = rows_MW.astype(np.float64)
    middle_W = rows_MW.mean(0)
    _, spread_S, axes_SW = np.linalg.svd(rows_MW - middle_W, full_matrices=False)
    if len(spread_S) < 2 or not spread_S[0]:
        return Missing("all pictures and prompts have the same embedding, or too few to span a plane")
    axes_2W = axes_SW[:2]
    axes_2W = axes_2W * np.sign(axes_2W[np.arange(2), np.abs(axes_2W).argmax(1)])[:, None]
    shares = spread_S**2 / (spread_S**2).sum()

    def flat(rows_NW: np.ndarray) -> np.ndarray:
        return (rows_NW.astype(np.float64) - middle_W) @ axes_2W.T

    placed = {
        name: Embedded(d.classes, d.labels_N, flat(d.pictures_NW), flat(d.prompts_KW)) for name, d in datasets.items()
    }
    return Map(placed, (float(shares[0]), float(shares[1])))


def shown_classes(labels_N: np.ndarray, most: int) -> Sequence[int]:
    """The classes with the most pictures, at most so many, in their order."""
    counts = np.bincount(labels_N)
    return sorted(int(k) for k in np.argsort(-counts, kind="stable")[:most] if counts[k])
