"""What the cells of the oriented detector say: a plane's logit, and the Gaussian of its oriented box."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from raytune_planes.datasets import oriented
from raytune_planes.tasks.detection.detector import MOST, REACH, SAME, centres, surest
from raytune_planes.tasks.oriented_detection import gaussians

CELLS = 6
"""Numbers of a cell: the logit, where the centre is from the cell's in units of ``REACH`` cells, the logarithm of the
half side in the same unit, and the two numbers of the stretch (``gaussians.spread``)."""


def decoded(cells_B6HW: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """logit_BN, middle_BN2, size_BN and stretch_BN2 of the N cells, float32, lengths in shares of the picture."""
    height, width = cells_B6HW.shape[-2:]
    flat_BN6 = cells_B6HW.float().flatten(2).transpose(1, 2)
    cell_2 = torch.tensor([1 / width, 1 / height]).to(flat_BN6, non_blocking=True)
    middle_BN2 = centres(height, width, cells_B6HW.device) + flat_BN6[..., 1:3] * REACH * cell_2
    # e^4 reaches of two cells are more than a picture, and no gradient that an exponential blows up.
    size_BN = flat_BN6[..., 3].clamp(-4, 4) + math.log(REACH / math.sqrt(height * width))
    return flat_BN6[..., 0], middle_BN2, size_BN, flat_BN6[..., 4:].clamp(-2, 2)


def detections(cells_B6HW: Tensor) -> tuple[Tensor, Tensor]:
    """logit_BK and corners_BK8 of at most ``MOST`` planes in each picture, the surest first, as far as they lie in it.

    Of two that overlap by more than ``SAME`` the less sure has a logit of minus infinity: it is none.
    """
    logit_BN, *rest = decoded(cells_B6HW)
    boxes_BN5 = gaussians.boxes(*rest)
    logit_BK, order_BK = logit_BN.topk(min(MOST, logit_BN.shape[1]), dim=1)
    boxes_BK5 = boxes_BN5.gather(1, order_BK[..., None].expand(-1, -1, 5))
    corners_BK8 = oriented.within(oriented.corners_of(boxes_BK5), boxes_BK5.new_tensor([0.0, 0.0, 1.0, 1.0]))
    return surest(logit_BK, oriented.iou(corners_BK8, corners_BK8) > SAME), corners_BK8
