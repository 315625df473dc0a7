"""Planes that an oriented detector finds in the tiles of a scene, as oriented boxes of the scene, and their score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from raytune_planes.datasets import oriented
from raytune_planes.datasets.outlines import Corners
from raytune_planes.scenes.boxes import PART, SURE, counting, on_scene
from raytune_planes.scenes.grid import Grid
from raytune_planes.scenes.score import MOST
from raytune_planes.tasks.detection.average_precision import THRESHOLDS, average_precisions
from raytune_planes.tasks.oriented_detection.average_precision import hits

SIZE = 3 + MOST * (1 + len(THRESHOLDS))
"""Numbers that say all of a scene: whether it was judged, planes, boxes judged; and of each box its score, and whether
it is right at each overlap."""

Turned = tuple[Corners, float]
"""The corners of an oriented box in the picture's pixels, and how sure the model is of it."""


def detected_oriented(logit_TN: Tensor, corners_TN8: Tensor, grid: Grid, least: float = SURE) -> tuple[Turned, ...]:
    """The planes of a scene with a score from ``least`` on, the surest first, by the rules of ``boxes.detected``: the
    upright box around a plane says whether its tile cuts it, and oriented boxes whether two hold each other.

    Args:
        logit_TN: Of each of the N boxes of T tiles.
        corners_TN8: In shares of the tile's side.
        grid: Where the tiles are in the scene.
        least: Score in [0, 1] from which a box counts.
    """
    counts_TN = counting(logit_TN, oriented.hulls(corners_TN8), grid, least)
    scene_4 = torch.tensor([0.0, 0.0, grid.across, grid.down], dtype=torch.float64)
    corners_K8 = oriented.within(torch.from_numpy(on_scene(corners_TN8, grid)[counts_TN]), scene_4)
    score_K = logit_TN.double().sigmoid()[torch.from_numpy(counts_TN)]
    order_K = score_K.argsort(descending=True, stable=True)
    corners_K8, score_K = corners_K8[order_K], score_K[order_K]
    kept = _surest(corners_K8)
    rows = zip(corners_K8[kept].tolist(), score_K[kept].tolist(), strict=True)
    return tuple((tuple(corners), score) for corners, score in rows)


def judged_oriented(found: Sequence[Turned] | None, truth_M8: np.ndarray, width: int, height: int) -> Tensor:
    """A scene in ``SIZE`` numbers, float64, which workers hand to each other; all 0 where the model tells no boxes.

    Args:
        found: Predicted boxes in the scene's pixels, with their scores.
        truth_M8: The corners of the planes' boxes, whole.
        width: Of the scene, in pixels.
        height: Likewise.
    """
    row = torch.zeros(SIZE, dtype=torch.float64)
    if found is None:
        return row
    first = sorted(found, key=lambda each: -each[1])[:MOST]
    truth_1M8 = oriented.within(
        torch.from_numpy(np.array(truth_M8, np.float64)), torch.tensor([0.0, 0.0, width, height])
    )[None]
    corners_1K8 = torch.tensor([corners for corners, _ in first], dtype=torch.float64).view(1, -1, 8)
    score_1K = torch.tensor([[score for _, score in first]], dtype=torch.float64)
    right_KT = hits(score_1K, corners_1K8, truth_1M8)[0]
    row[:3] = torch.tensor([1, len(truth_M8), len(first)], dtype=torch.float64)
    row[3:].view(MOST, -1)[: len(first)] = torch.cat([score_1K[0, :, None], right_KT.double()], 1)
    return row


def oriented_scene_metrics(scenes_NS: Tensor) -> dict[str, float]:
    """Of N scenes, in order: ``scene_oriented_ap50`` and ``scene_oriented_map``, as ``score.scene_metrics`` has them of
    upright boxes. Nothing where no scene was judged."""
    if not scenes_NS[:, 0].any():
        return {}
    rows_NKT = scenes_NS[:, 3:].view(len(scenes_NS), MOST, -1)
    rows_BT = torch.cat([rows[: int(n)] for rows, n in zip(rows_NKT, scenes_NS[:, 2], strict=True)])
    precisions = average_precisions(rows_BT[:, 0], rows_BT[:, 1:], float(scenes_NS[:, 1].sum()))
    return {"scene_oriented_ap50": precisions[0], "scene_oriented_map": sum(precisions) / len(precisions)}


def _surest(corners_K8: Tensor) -> Tensor:
    """Of boxes from the surest on, the numbers of those that no kept one before shares ``PART`` with."""
    shared_KK = oriented.part(corners_K8[None], corners_K8[None])[0] >= PART
    free_K = torch.ones(len(corners_K8), dtype=torch.bool)
    for k in range(len(corners_K8)):
        if free_K[k]:
            free_K[k + 1 :] &= ~shared_KK[k, k + 1 :]
    return free_K.nonzero()[:, 0]
