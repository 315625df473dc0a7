"""Planes that a detector finds in the tiles of a scene, as boxes of the scene."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from raytune_planes.scenes.grid import OVERLAP, Grid, Scored

SURE = 0.5
"""Score from which a box is reported."""
PART = 0.5
"""Share of the smaller of two boxes from which it is part of the other: neighbouring tiles cut what one sees whole."""


def detected(logit_TN: Tensor, boxes_TN4: Tensor, grid: Grid, least: float = SURE) -> tuple[Scored, ...]:
    """The planes of a scene with a score from ``least`` on, the surest first, from the boxes of its tiles
    (``Prediction``).

    A box at an edge of its tile where the scene continues is left to the neighbour that sees more of the plane, unless
    it reaches further into the tile than the two overlap. Of boxes that hold each other the surest stays: so the sure
    ones are the same whatever ``least`` is.

    Args:
        logit_TN: Of each of the N cells of T tiles.
        boxes_TN4: As (left, top, right, bottom) in shares of the tile's side.
        grid: Where the tiles are in the scene.
        least: Score in [0, 1] from which a box counts.

    Returns:
        (box in the scene's pixels, score) for each plane.
    """
    counts_TN = counting(logit_TN, boxes_TN4, grid, least)
    places_TN4 = on_scene(boxes_TN4, grid)
    boxes_K4 = np.minimum(places_TN4[counts_TN], np.array([grid.across, grid.down] * 2))
    score_K = logit_TN.double().sigmoid().numpy()[counts_TN]
    order_K = np.argsort(-score_K, kind="stable")
    kept = _surest(boxes_K4[order_K])
    return tuple(
        (tuple(box), score)
        for box, score in zip(boxes_K4[order_K][kept].tolist(), score_K[order_K][kept].tolist(), strict=True)
    )


def counting(logit_TN: Tensor, boxes_TN4: Tensor, grid: Grid, least: float) -> np.ndarray:
    """Which boxes of the tiles have a score from ``least`` on and are left to no neighbour, bool [T, N] (see
    ``detected``)."""
    scores_TN, shares_TN4 = logit_TN.double().sigmoid().numpy(), boxes_TN4.double().numpy()
    sides_TN2 = shares_TN4[..., 2:] - shares_TN4[..., :2]
    windows_T4 = np.array(grid.windows)
    ends = np.array([grid.width, grid.height])
    goes_on_T4 = np.concatenate([windows_T4[:, :2] > 0, windows_T4[:, 2:] < ends], 1)
    pixel = 1 / grid.image_size
    at_edge_TN4 = np.concatenate([shares_TN4[..., :2] < pixel, shares_TN4[..., 2:] > 1 - pixel], 2)
    short_TN4 = np.concatenate([sides_TN2 < OVERLAP] * 2, 2)
    cut_TN = (at_edge_TN4 & short_TN4 & goes_on_T4[:, None]).any(2)
    return (scores_TN >= least) & (sides_TN2 > 0).all(2) & ~cut_TN


def on_scene(points_TNC: Tensor, grid: Grid) -> np.ndarray:
    """x, y, x, y, ... in shares of each tile's side, as pixels of the scene."""
    starts_TC = np.tile(np.array(grid.windows)[:, None, :2], points_TNC.shape[-1] // 2)
    return np.asarray((starts_TC + points_TNC.double().numpy() * grid.image_size) * grid.step)


def _surest(boxes_K4: np.ndarray) -> np.ndarray:
    """Of boxes from the surest on, the numbers of those that no kept one before shares ``PART`` with."""
    sides_K2 = boxes_K4[:, 2:] - boxes_K4[:, :2]
    area_K = sides_K2.prod(1)
    free_K, kept = np.ones(len(boxes_K4), bool), []
    for k in range(len(boxes_K4)):
        if free_K[k]:
            kept.append(k)
            low_K2 = np.maximum(boxes_K4[:, :2], boxes_K4[k, :2])
            high_K2 = np.minimum(boxes_K4[:, 2:], boxes_K4[k, 2:])
            shared_K = (high_K2 - low_K2).clip(0).prod(1)
            free_K &= shared_K < PART * np.minimum(area_K, area_K[k])
    return np.array(kept, np.int64)
