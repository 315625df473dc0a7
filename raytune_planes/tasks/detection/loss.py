"""Loss of the detector: whether a cell belongs to a plane, and its box, divided by the chance-level loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from raytune_planes.tasks.detection.detector import centres, decoded, giou

MIDDLE = 0.5
"""Cells in this share of a box's width and height, about its middle, are to find it (Tian et al. 2019, "center
sampling"): those at its border see as much of the ground."""


def detection(cells_B5HW: Tensor, boxes_BM4: Tensor, gather: Callable[[Tensor], Tensor]) -> Tensor:
    """Mean of two parts that are 1 at chance: is there a plane in a cell, and where does it end.

    The first is the cross-entropy of every cell, over the entropy of a guess that knows how many of the batch's cells
    are a plane's and no more: at one in fifty, 0.5 for each cell would cost seven times as much, and a model that has
    learnt nothing but the share would look good. The second is 1 - GIoU (Rezatofighi et al. 2019) of a plane's cells: 1
    where two equal boxes touch, 1.37 of random pairs, less of a box about the right cell. A batch without planes has
    the first alone.

    Numbers of cells are those of the whole batch over all workers (``gather`` [B, 1] to [world x B, 1]), so that the
    mean over the workers is the loss of the batch.

    Args:
        cells_B5HW: What the detector returns: for each cell a logit, and the logarithms of four distances.
        boxes_BM4: The planes' boxes as (left, top, right, bottom) in shares of the side; of size 0 where there is none.
        gather: Joins the rows of all workers.

    Returns:
        A scalar: 1 at chance level, 0 when perfect.
    """
    logit_BN, box_BN4 = decoded(cells_B5HW)
    positive_BN, target_BN4 = aims(boxes_BM4, *cells_B5HW.shape[-2:])
    return both_parts(logit_BN, positive_BN, 1 - giou(box_BN4, target_BN4), gather)


def both_parts(logit_BN: Tensor, positive_BN: Tensor, apart_BN: Tensor, gather: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean of the two parts: the cross-entropy of N cells, and ``apart_BN`` over those that are a plane's, 1 at
    chance (see ``detection``)."""
    entropy_BN = F.binary_cross_entropy_with_logits(logit_BN, positive_BN.float(), reduction="none")
    count_B1 = gather(positive_BN.sum(1, keepdim=True).float())
    cells, planes = count_B1.numel() * logit_BN.shape[1], count_B1.sum()
    share = planes.clamp(1, cells - 1) / cells
    chance = -(torch.xlogy(share, share) + torch.xlogy(1 - share, 1 - share))
    there = entropy_BN.mean() / chance
    workers = len(count_B1) / len(logit_BN)
    reach = workers * (apart_BN * positive_BN).sum() / planes.clamp_min(1)
    return torch.where(planes > 0, (there + reach) / 2, there)


def aims(boxes_BM4: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Which of the N = height x width cells are to find a plane, bool [B, N], and its box, [B, N, 4].

    A cell is a plane's where its centre lies in the middle of the box; the cell that holds the box's centre is always.
    Of several it finds the smallest (Tian et al. 2019, section 3.1).
    """
    at_1N2 = centres(height, width, boxes_BM4.device)[None, :, None]
    cell_2 = torch.tensor([1 / width, 1 / height]).to(boxes_BM4, non_blocking=True)
    sides_BM2 = boxes_BM4[..., 2:] - boxes_BM4[..., :2]
    middle_BM2 = (boxes_BM4[..., :2] + boxes_BM4[..., 2:]) / 2
    reach_BM2 = torch.maximum(sides_BM2 * (MIDDLE / 2), cell_2 / 2)
    area_BM = sides_BM2.prod(-1)
    away_BNM2 = (at_1N2 - middle_BM2[:, None]).abs()
    inside_BNM = (away_BNM2 <= reach_BM2[:, None]).all(-1) & (area_BM > 0)[:, None]
    positive_BN, which_BN = smallest(inside_BNM, area_BM)
    return positive_BN, boxes_BM4.gather(1, which_BN[..., None].expand(-1, -1, 4))


def smallest(inside_BNM: Tensor, area_BM: Tensor) -> tuple[Tensor, Tensor]:
    """Which cells are a plane's, bool [B, N], and which of the planes they are in is the smallest, [B, N]."""
    return inside_BNM.any(2), torch.where(inside_BNM, area_BM[:, None], torch.inf).argmin(2)
