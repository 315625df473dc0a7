"""Error of the reconstructed hidden pixels, divided by the chance-level loss."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

LEAST = 0.01
"""Chance value of a batch without contrast, in normalised brightness: less than the step between two levels (1/64)."""


def reconstruction(
    painted_BCHW: Tensor,
    image_BCHW: Tensor,
    covered_BCHW: Tensor,
    hidden_BHW: Tensor,
    gather: Callable[[Tensor], Tensor],
) -> Tensor:
    """Mean absolute error of the hidden pixels (SimMIM, Xie et al. 2022, equation 1) by that of their cover.

    The cover is each image's mean visible colour, so chance is the mean absolute deviation of the hidden pixels from
    what is known of them without looking at shapes: 1 leaves them covered, 0 is perfect. It is that of the whole batch,
    over all workers (``gather`` [B, 1] to [world x B, 1]): an even patch of sky has next to none of its own.

    Args:
        painted_BCHW: The reconstruction, in normalised brightness.
        image_BCHW: The original.
        covered_BCHW: The original with its hidden pixels covered.
        hidden_BHW: bool, which pixels are hidden.
        gather: Joins the rows of all workers.

    Returns:
        A scalar: 1 at chance level, 0 when perfect.
    """
    pixels_B = hidden_BHW.sum((1, 2)).clamp_min(1) * image_BCHW.shape[1]

    def error(output_BCHW: Tensor) -> Tensor:
        apart_BCHW = (output_BCHW.float() - image_BCHW).abs()
        return apart_BCHW.masked_fill(~hidden_BHW[:, None], 0).sum((1, 2, 3)) / pixels_B

    chance = gather(error(covered_BCHW)[:, None]).mean().clamp_min(LEAST)
    return error(painted_BCHW).mean() / chance
