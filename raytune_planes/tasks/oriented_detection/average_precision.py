"""COCO's average precision by the overlap of oriented boxes, at every of its overlaps, from counts that add up."""

from __future__ import annotations

import torch
from torch import Tensor

from raytune_planes.arithmetic import sums_dtype
from raytune_planes.datasets import oriented
from raytune_planes.tasks.detection.average_precision import BINS, THRESHOLDS, averaged, matched, steps

SIZE = BINS * (1 + len(THRESHOLDS)) + 2
"""Of the counts: boxes of each step of the score, of them those that find a plane at each overlap; planes, pictures."""


def hits(logit_BK: Tensor, corners_BK8: Tensor, truth_BM8: Tensor) -> Tensor:
    """Which boxes find a plane at each of ``THRESHOLDS``, bool [B, K, T], by the rule of ``detection``.

    Args:
        logit_BK: Of each box, falling along K; minus infinity is no box.
        corners_BK8: Of each box.
        truth_BM8: Of the planes' boxes; all 0 where there is none.
    """
    overlap_BKM = oriented.iou(corners_BK8, truth_BM8)
    return torch.stack([matched(logit_BK, overlap_BKM, enough) for enough in THRESHOLDS.tolist()], 2)


def counted(logit_BK: Tensor, corners_BK8: Tensor, truth_BM8: Tensor) -> Tensor:
    """The counts [SIZE] of a batch, of ``arithmetic.sums_dtype``; arguments as those of ``hits``."""
    dtype = sums_dtype(logit_BK.device)
    is_box_BK1 = (logit_BK > -torch.inf)[..., None]
    rows_NT = torch.cat([is_box_BK1, hits(logit_BK, corners_BK8, truth_BM8)], 2).flatten(0, 1).to(dtype)
    counts = torch.zeros(BINS, rows_NT.shape[1], dtype=dtype, device=logit_BK.device)
    counts.index_add_(0, steps(logit_BK).flatten(), rows_NT)
    boxes_BM5 = oriented.boxes_of(truth_BM8)
    planes = (boxes_BM5[..., 2] * boxes_BM5[..., 3] > 0).sum().to(dtype)
    return torch.cat([counts.flatten(), torch.stack([planes, torch.full_like(planes, len(logit_BK))])])


def oriented_metrics(counts: Tensor) -> dict[str, float]:
    """``oriented_ap50`` and ``oriented_map``, COCO's but that scores of one step are equal. Nothing where no picture
    was counted."""
    *_, planes, pictures = counts.tolist()
    if not pictures:
        return {}
    boxes_N, *right = counts[:-2].view(BINS, -1).flip(0).unbind(1)
    precisions = [averaged(right_N, boxes_N - right_N, planes) for right_N in right]
    return {"oriented_ap50": precisions[0], "oriented_map": sum(precisions) / len(precisions)}
