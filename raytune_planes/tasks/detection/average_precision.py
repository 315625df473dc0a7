"""Average precision of boxes from counts that add up: over batches, over workers."""

from __future__ import annotations

import torch
from torch import Tensor

from raytune_planes.tasks.detection.detector import iou

ENOUGH = 0.5
"""Overlap with a plane's box from which it is found: the 50 of AP50."""
BINS, FURTHEST = 1000, 10.0
"""Scores are counted by logit, in even steps from -FURTHEST to FURTHEST: 0.02 each. What lies in one step counts as
equally sure."""
SIZE = 2 * BINS + 2
"""Of the counts: wrong and right boxes of each step, planes, pictures."""


def counted(logit_BK: Tensor, boxes_BK4: Tensor, truth_BM4: Tensor) -> Tensor:
    """The counts [SIZE] of a batch, float64. ``logit_BK`` falls along K; minus infinity is no box."""
    right_BK = hits(logit_BK, boxes_BK4, truth_BM4)
    step_BK = ((logit_BK.clamp(-FURTHEST, FURTHEST) + FURTHEST) * (BINS / (2 * FURTHEST))).long().clamp_max(BINS - 1)
    cells = (2 * step_BK + right_BK)[logit_BK > -torch.inf]
    planes = (_area(truth_BM4) > 0).sum()
    rest = torch.stack([planes, planes.new_tensor(len(logit_BK))])
    return torch.cat([torch.bincount(cells, minlength=2 * BINS), rest]).double()


def hits(logit_BK: Tensor, boxes_BK4: Tensor, truth_BM4: Tensor) -> Tensor:
    """Which boxes find a plane, bool [B, K]: the surest first, each takes the free plane that it overlaps most (COCO).

    Every plane is found once; a second box on it is wrong.
    """
    overlap_BKM = iou(boxes_BK4, truth_BM4)
    overlap_BKM = overlap_BKM.masked_fill(overlap_BKM < ENOUGH, 0)
    found_BK = torch.zeros_like(logit_BK, dtype=torch.bool)
    free_BM = torch.ones_like(overlap_BKM[:, 0], dtype=torch.bool)
    for k in range(logit_BK.shape[1]):
        best_B, which_B = (overlap_BKM[:, k] * free_BM).max(1)
        found_BK[:, k] = (best_B > 0) & (logit_BK[:, k] > -torch.inf)
        free_BM &= ~(torch.nn.functional.one_hot(which_B, free_BM.shape[1]).bool() & found_BK[:, k, None])
    return found_BK


def detection_metrics(counts: Tensor) -> dict[str, float]:
    """``ap50``: the area under precision over recall, precision being the best at that recall or above it (PASCAL VOC
    from 2010 on, all points). Nothing where no picture was counted; 1 where there is nothing to find and nothing found.
    """
    *_, planes, pictures = counts.tolist()
    if not pictures:
        return {}
    wrong, right = counts[:-2].view(BINS, 2).flip(0).unbind(1)
    told = (wrong + right).cumsum(0)
    if not planes:
        return {"ap50": float(told[-1] == 0)}
    precision = right.cumsum(0) / told.clamp_min(1)
    best = precision.flip(0).cummax(0).values.flip(0)
    return {"ap50": float((right * best).sum() / planes)}


def _area(boxes_BM4: Tensor) -> Tensor:
    return (boxes_BM4[..., 2:] - boxes_BM4[..., :2]).prod(-1)
