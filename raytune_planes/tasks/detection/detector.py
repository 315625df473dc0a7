"""The anchor-free detector: a cell of the map at stride 4 says whether a plane is there, and how far it reaches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raytune_planes.model.blocks import join, unit

PRIOR_LOGIT = -3.0
"""Every cell's at the start: one in twenty is a plane's (Lin et al. 2017, section 4.1)."""
REACH = 2.0
"""Cells that a plane reaches to each side at the start: 16 pixels in all, as the model sees them."""
MOST = 64
"""Boxes that are looked at in a picture, the surest first."""
SAME = 0.5
"""Overlap from which the less sure of two boxes is the same plane told twice."""


class Detector(nn.Module):
    """FCOS (Tian et al. 2019) on one map, joined from those at strides 4 and 8; the one at stride 2 costs four times as
    much, and a plane of three pixels is none."""

    def __init__(self, channels: tuple[int, int, int], width: int, numbers: int = 5) -> None:
        """``numbers``: that a cell says, the logit of a plane first."""
        super().__init__()
        _, middle, coarse = channels
        self.enter = unit(coarse, 2 * width, kernel=1)
        self.middle = unit(2 * width + middle, 2 * width)
        self.cells = nn.Conv2d(2 * width, numbers, 1)
        for parameter in self.cells.parameters():
            nn.init.normal_(parameter, std=0.05)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        """cells_B5HW at stride 4: the logit of a plane, and logarithms of how far it reaches to the left, up, right and
        down, in units of ``REACH`` cells."""
        _, middle_BCHW, coarse_BCHW = pyramid
        cells_B5HW: Tensor = self.cells(self.middle(join(self.enter(coarse_BCHW), middle_BCHW)))
        start = torch.tensor([PRIOR_LOGIT] + [0.0] * (cells_B5HW.shape[1] - 1))
        return cells_B5HW + start.to(cells_B5HW, non_blocking=True)[:, None, None]


def centres(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """x and y of the middle of every cell, in shares of the picture: [height x width, 2], row by row."""
    y_H, x_W = ((torch.arange(n, device=device) + 0.5) / n for n in (height, width))
    return torch.stack([x_W.repeat(height), y_H.repeat_interleave(width)], dim=1)


def decoded(cells_B5HW: Tensor) -> tuple[Tensor, Tensor]:
    """logit_BN and boxes_BN4 of the N cells, in float32 and in shares of the picture; boxes may reach beyond it."""
    height, width = cells_B5HW.shape[-2:]
    flat_BN5 = cells_B5HW.float().flatten(2).transpose(1, 2)
    cell_2 = torch.tensor([1 / width, 1 / height]).to(flat_BN5, non_blocking=True)
    # e^4 reaches of two cells are more than a picture, and no gradient that an exponential blows up.
    reach_BN4 = flat_BN5[..., 1:].clamp(-4, 4).exp() * REACH * cell_2.repeat(2)
    at_N2 = centres(height, width, cells_B5HW.device)
    return flat_BN5[..., 0], torch.cat([at_N2 - reach_BN4[..., :2], at_N2 + reach_BN4[..., 2:]], dim=-1)


def detections(cells_B5HW: Tensor) -> tuple[Tensor, Tensor]:
    """logit_BK and boxes_BK4 of at most ``MOST`` planes in each picture, the surest first.

    Of two that overlap by more than ``SAME`` the less sure has a logit of minus infinity: it is none.
    """
    logit_BN, boxes_BN4 = decoded(cells_B5HW)
    logit_BK, order_BK = logit_BN.topk(min(MOST, logit_BN.shape[1]), dim=1)
    boxes_BK4 = boxes_BN4.clamp(0, 1).gather(1, order_BK[..., None].expand(-1, -1, 4))
    return surest(logit_BK, iou(boxes_BK4, boxes_BK4) > SAME), boxes_BK4


def surest(logit_BK: Tensor, same_BKK: Tensor) -> Tensor:
    """logit_BK, falling along K, with minus infinity for boxes that tell the same plane as a surer one that stays."""
    stays_BK = torch.ones_like(logit_BK, dtype=torch.bool)
    for k in range(logit_BK.shape[1] - 1):  # greedy: a suppressed box suppresses no other
        stays_BK[:, k + 1 :] &= ~(same_BKK[:, k, k + 1 :] & stays_BK[:, k, None])
    return logit_BK.masked_fill(~stays_BK, -torch.inf)


def iou(boxes_BK4: Tensor, others_BM4: Tensor) -> Tensor:
    """Intersection over union of every pair, [B, K, M]; 0 where a box has no area."""
    return _overlap(boxes_BK4[:, :, None], others_BM4[:, None])[0]


def giou(boxes: Tensor, others: Tensor) -> Tensor:
    """Generalised intersection over union of boxes [..., 4], pair by pair, in (-1, 1] (Rezatofighi et al. 2019).

    Less than the intersection over union by the part of the pair's hull that neither covers: its gradient draws a box
    near that does not touch the other yet.
    """
    ratio, union = _overlap(boxes, others)
    sides = torch.maximum(boxes[..., 2:], others[..., 2:]) - torch.minimum(boxes[..., :2], others[..., :2])
    hull = (sides[..., 0] * sides[..., 1]).clamp_min(1e-12)
    return ratio - (hull - union) / hull


def _overlap(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union, and union."""
    sides = torch.minimum(boxes[..., 2:], others[..., 2:]) - torch.maximum(boxes[..., :2], others[..., :2])
    shared = sides.clamp_min(0).prod(-1)
    both = sum((b[..., 2:] - b[..., :2]).prod(-1) for b in (boxes, others))
    union = both - shared
    return shared / union.clamp_min(1e-12), union
