"""COCO's average precision of boxes: from counts that add up over batches and workers, or exactly from a list."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from raytune_planes.arithmetic import sums_dtype
from raytune_planes.tasks.detection.detector import iou

ENOUGH = 0.5
"""Overlap with a plane's box from which it is found: the 50 of AP50."""
THRESHOLDS = torch.from_numpy(np.linspace(0.5, 0.95, 10))
"""The overlaps of COCO's mAP50-95."""
RECALLS = torch.from_numpy(np.linspace(0, 1, 101))
"""Where COCO reads the precision. By numpy, as there: a recall of 7 in 100 is a threshold to the last bit."""
BINS, FURTHEST = 1000, 10.0
"""Scores are counted by logit, in even steps from -FURTHEST to FURTHEST: 0.02 each. What lies in one step counts as
equally sure."""
SIZE = 2 * BINS + 2
"""Of the counts: wrong and right boxes of each step, planes, pictures."""


def counted(logit_BK: Tensor, boxes_BK4: Tensor, truth_BM4: Tensor) -> Tensor:
    """The counts [SIZE] of a batch, of ``arithmetic.sums_dtype``. ``logit_BK`` falls along K; minus infinity is no box.

    Args:
        logit_BK: Of each box, falling along K.
        boxes_BK4: As (left, top, right, bottom) in shares of the side.
        truth_BM4: The planes' boxes; of size 0 where there is none.
    """
    right_BK = hits(logit_BK, boxes_BK4, truth_BM4)
    cell_BK, is_box_BK = 2 * steps(logit_BK) + right_BK, logit_BK > -torch.inf
    counts = torch.zeros(2 * BINS, dtype=sums_dtype(logit_BK.device), device=logit_BK.device)
    # Not bincount over the boxes alone: their number would have to be known before the next operation.
    counts.index_add_(0, cell_BK.flatten(), is_box_BK.flatten().to(counts.dtype))
    planes = (_area(truth_BM4) > 0).sum().to(counts.dtype)
    return torch.cat([counts, torch.stack([planes, torch.full_like(planes, len(logit_BK))])])


def steps(logit_BK: Tensor) -> Tensor:
    """The step that each box is counted in, from 0 to ``BINS`` - 1."""
    return ((logit_BK.clamp(-FURTHEST, FURTHEST) + FURTHEST) * (BINS / (2 * FURTHEST))).long().clamp(0, BINS - 1)


def hits(logit_BK: Tensor, boxes_BK4: Tensor, truth_BM4: Tensor, enough: float = ENOUGH) -> Tensor:
    """Which boxes find a plane, bool [B, K]: the surest first, each takes the free plane that it overlaps most, of
    equal ones the last (COCO).

    Every plane is found once; a second box on it is wrong.

    Args:
        logit_BK: Of each box, falling along K; minus infinity is no box.
        boxes_BK4: As (left, top, right, bottom) in shares of the side.
        truth_BM4: The planes' boxes; of size 0 where there is none.
        enough: Overlap (IoU) from which a plane is found.
    """
    return matched(logit_BK, iou(boxes_BK4, truth_BM4), enough)


def matched(logit_BK: Tensor, overlap_BKM: Tensor, enough: float) -> Tensor:
    """The same from the overlap of each box with each plane."""
    overlap_BKM = overlap_BKM.flip(2)  # max gives the first of equal ones
    overlap_BKM = overlap_BKM.masked_fill(overlap_BKM < enough, 0)
    taken_BK = torch.zeros_like(logit_BK, dtype=torch.bool)
    if not overlap_BKM.numel():  # no prediction, or no plane
        return taken_BK
    free_BM = torch.ones_like(overlap_BKM[:, 0], dtype=torch.bool)
    for k in range(logit_BK.shape[1]):
        best_B, which_B = (overlap_BKM[:, k] * free_BM).max(1)
        taken_BK[:, k] = (best_B > 0) & (logit_BK[:, k] > -torch.inf)
        free_BM &= ~(torch.nn.functional.one_hot(which_B, free_BM.shape[1]).bool() & taken_BK[:, k, None])
    return taken_BK


def detection_metrics(counts: Tensor) -> dict[str, float]:
    """``ap50``, COCO's but that scores of one step are equal. Nothing where no picture was counted."""
    *_, planes, pictures = counts.tolist()
    if not pictures:
        return {}
    wrong_N, right_N = counts[:-2].view(BINS, 2).flip(0).unbind(1)
    return {"ap50": averaged(right_N, wrong_N, planes)}


def average_precisions(score_N: Tensor, right_NT: Tensor, planes: float) -> list[float]:
    """The average precision at each of T overlaps, of the boxes of all pictures in the pictures' order.

    Boxes with equal scores stay in that order, as in COCO.

    Args:
        score_N: Of each box.
        right_NT: bool, whether it finds a plane, at each of T overlaps.
        planes: That there are in all pictures.

    Returns:
        T values in [0, 1].
    """
    right_NT = right_NT[score_N.argsort(descending=True, stable=True)].double()
    return [averaged(right_N, 1 - right_N, planes) for right_N in right_NT.unbind(1)]


def averaged(right_N: Tensor, wrong_N: Tensor, planes: float) -> float:
    """The mean over ``RECALLS`` of the best precision at that recall or above it, 0 where it is not reached.

    Args:
        right_N: Boxes that find a plane, at each score from the surest on.
        wrong_N: Those that find none.
        planes: That there are. Of none it is 1 when no box is predicted, else 0; COCO has no figure there.
    """
    hits_N, predicted_N = right_N.cumsum(0), (right_N + wrong_N).cumsum(0)
    if not planes:
        return float(not predicted_N.any())
    best_N = (hits_N / predicted_N.clamp_min(1)).flip(0).cummax(0).values.flip(0)
    reached = torch.searchsorted(hits_N / planes, RECALLS)
    return float(best_N[reached[reached < len(best_N)]].sum() / len(RECALLS))


def _area(boxes_BM4: Tensor) -> Tensor:
    return (boxes_BM4[..., 2:] - boxes_BM4[..., :2]).prod(-1)
