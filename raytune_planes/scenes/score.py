"""What is right about the planes told in whole scenes: overlap of masks, average precision of boxes, the count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from raytune_planes.datasets import tiles
from raytune_planes.scenes.boxes import SURE
from raytune_planes.scenes.grid import Scored
from raytune_planes.tasks.detection.average_precision import THRESHOLDS, average_precisions, hits
from raytune_planes.tasks.segmentation.implementation import mask_metrics

MOST = 512
"""Boxes of a scene that are judged, the surest first."""
SIZE = 6 + MOST * (1 + len(THRESHOLDS))
"""Numbers that say all of a scene: pixels right, false and missed; planes, planes counted, boxes judged; of each box
its score, and whether it is right at each overlap."""


def judged(
    boxes: Sequence[Scored], count: int, truth_M4: np.ndarray, mask_HW: np.ndarray, true_mask_HW: np.ndarray
) -> Tensor:
    """A scene in ``SIZE`` numbers, float64, which workers hand to each other.

    Args:
        boxes: Predicted boxes in the scene's pixels, with their scores.
        count: The number of planes that is reported.
        truth_M4: The planes' boxes.
        mask_HW: Probability of a plane.
        true_mask_HW: Where planes are.
    """
    predicted_HW, truth_HW = mask_HW > 0.5, true_mask_HW > 0
    right = float((predicted_HW & truth_HW).sum())
    pixels = [right, float(predicted_HW.sum()) - right, float(truth_HW.sum()) - right]
    first = sorted(boxes, key=lambda each: -each[1])[:MOST]
    boxes_1K4 = torch.tensor([box for box, _ in first], dtype=torch.float64).view(1, -1, 4)
    score_1K = torch.tensor([[score for _, score in first]], dtype=torch.float64)
    truth_1M4 = torch.from_numpy(np.array(truth_M4, np.float64)).view(1, -1, 4)
    right_KT = torch.stack([hits(score_1K, boxes_1K4, truth_1M4, enough)[0] for enough in THRESHOLDS.tolist()], 1)
    rows_M = torch.zeros(MOST, 1 + len(THRESHOLDS), dtype=torch.float64)
    rows_M[: len(first)] = torch.cat([score_1K[0, :, None], right_KT.double()], 1)
    rest = torch.tensor([*pixels, len(truth_M4), count, len(first)], dtype=torch.float64)
    return torch.cat([rest, rows_M.flatten()])


def scene_metrics(scenes_NS: Tensor) -> dict[str, float]:
    """The metrics of N scenes, in order.

    ``scene_iou``: over all pixels. ``scene_ap50`` and ``scene_map``: COCO's average precision at an overlap of one
    half, and its mean from 0.5 to 0.95, over the boxes of all scenes. ``count_error``: mean of |counted - there| in
    planes; ``count_error_share``: their sum over the planes that are there.
    """
    if not len(scenes_NS):
        return {}
    pixels_N3, (planes_N, counted_N, boxes_N) = scenes_NS[:, :3], scenes_NS[:, 3:6].unbind(1)
    rows_NKT = scenes_NS[:, 6:].view(len(scenes_NS), MOST, -1)
    rows_BT = torch.cat([rows[: int(n)] for rows, n in zip(rows_NKT, boxes_N, strict=True)])
    planes = float(planes_N.sum())
    precisions = average_precisions(rows_BT[:, 0], rows_BT[:, 1:], planes)
    error_N = (counted_N - planes_N).abs()
    return {
        "scene_iou": mask_metrics(*pixels_N3.sum(0).tolist())["iou"],
        "scene_ap50": precisions[0],
        "scene_map": sum(precisions) / len(precisions),
        "count_error": float(error_N.mean()),
        "count_error_share": float(error_N.sum()) / max(1.0, planes),
    }


def sure(boxes: Sequence[Scored]) -> int:
    """How many of the boxes are reported."""
    return sum(score >= SURE for _, score in boxes)


def drawn(boxes_M4: np.ndarray, step: float, shape: str, height: int, width: int) -> np.ndarray:
    """Where planes are, as ``Info.masks_from`` has it, [height, width] at one pixel in ``step``."""
    draw = tiles.ellipses if shape == "ellipse" else tiles.mask
    scaled = (boxes_M4 / step).tolist()
    return draw([tuple(box) for box in scaled], width, height, (height, width))
