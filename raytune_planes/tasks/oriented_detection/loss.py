"""Loss of the oriented detector: whether a cell belongs to a plane, and its box, divided by the chance-level loss."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from raytune_planes.datasets import oriented
from raytune_planes.tasks.detection.detector import centres
from raytune_planes.tasks.detection.loss import MIDDLE, both_parts, smallest
from raytune_planes.tasks.oriented_detection.detector import decoded
from raytune_planes.tasks.oriented_detection.gaussians import divergence, divergence_loss


def oriented_detection(cells_B6HW: Tensor, corners_BM8: Tensor, gather: Callable[[Tensor], Tensor]) -> Tensor:
    """Mean of two parts that are 1 at chance: that of ``detection`` for whether there is a plane, and for its box the
    divergence of the predicted Gaussian, 1 where two equal boxes stand side by side.

    Args:
        cells_B6HW: What the detector returns (``detector.CELLS``).
        corners_BM8: The planes' oriented boxes in shares of the side; all 0 where there is none.
        gather: Joins the rows of all workers.

    Returns:
        A scalar: 1 at chance level, 0 when perfect.
    """
    logit_BN, middle_BN2, size_BN, stretch_BN2 = decoded(cells_B6HW)
    positive_BN, target_BN5 = aims(corners_BM8, *cells_B6HW.shape[-2:])
    apart_BN = divergence_loss(divergence(middle_BN2, size_BN, stretch_BN2, target_BN5))
    return both_parts(logit_BN, positive_BN, apart_BN, gather)


def aims(corners_BM8: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Which of the N = height x width cells are to find a plane, bool [B, N], and its box, [B, N, 5].

    As in ``detection``: the cells in the middle of the box, along its own sides, and the cell that holds its centre.
    """
    boxes_BM5 = oriented.boxes_of(corners_BM8)
    x, y, w, h, angle = (value[:, None] for value in boxes_BM5.unbind(-1))
    at_1N2 = centres(height, width, corners_BM8.device)[None, :, None]
    right, down, cos, sin = at_1N2[..., 0] - x, at_1N2[..., 1] - y, angle.cos(), angle.sin()
    ahead, aside = right * cos + down * sin, down * cos - right * sin
    in_middle = (ahead.abs() <= w * (MIDDLE / 2)) & (aside.abs() <= h * (MIDDLE / 2))
    holds_centre = (right.abs() <= 0.5 / width) & (down.abs() <= 0.5 / height)
    area_BM = boxes_BM5[..., 2] * boxes_BM5[..., 3]
    positive_BN, which_BN = smallest((in_middle | holds_centre) & (area_BM > 0)[:, None], area_BM)
    return positive_BN, boxes_BM5.gather(1, which_BN[..., None].expand(-1, -1, 5))
