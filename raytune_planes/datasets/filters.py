"""What looks at a pixel's neighbours: motion blur, Canny's edges, morphology. Masks are not theirs to change.

Written tap by tap on whole batches: each image has parameters of its own, and gets the same bits whichever images stand
beside it, neither of which convolutions or the libraries' transforms promise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from raytune_planes.datasets import warping

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""
WEAK, STRONG = 0.07, 0.15
"""Canny's thresholds: an edge holds a pixel of the strong one, and reaches as far as the weak one. In units of a step
from black to white."""
WORD = 62
"""Images that share the words in which edges are followed: bits of a 64-bit integer, without its sign."""
SMOOTH = tuple(math.exp(-(k**2) / 2) for k in range(-2, 3))
"""Canny's Gaussian, of one pixel."""


def mixed(images_BCHW: Tensor, other: Tensor, weight_B: Tensor) -> Tensor:
    """Each image with ``other`` (of its shape, or one channel) at a weight of its own in [0, 1].

    Args:
        images_BCHW: In [0, 1].
        other: [B, C, H, W] or [B, 1, H, W], in [0, 1].
        weight_B: Of ``other``; 0 leaves an image as it is.
    """
    weight = weight_B.to(images_BCHW.device, images_BCHW.dtype, non_blocking=True)[:, None, None, None]
    return images_BCHW + weight * (other - images_BCHW)


def motion_blur(images_BCHW: Tensor, angle_B: Tensor, length_B: Tensor, most: float) -> Tensor:
    """The mean along a line through each pixel, as of a camera that moves while it exposes.

    ``angle_B`` in radians, ``length_B`` as a share of the side, up to ``most``, which decides the number of taps: one a
    pixel at the longest.
    """
    taps = max(3, 2 * math.ceil(most * images_BCHW.shape[-1] / 2) + 1)
    one, none = torch.ones_like(angle_B), torch.zeros_like(angle_B)
    along_x, along_y = 2 * length_B * angle_B.cos(), 2 * length_B * angle_B.sin()
    total = torch.zeros_like(images_BCHW)
    for tap in range(taps):
        part = tap / (taps - 1) - 0.5
        places_BHW2 = warping.grid((one, none, part * along_x, none, one, part * along_y), images_BCHW)
        total += warping.sampled(images_BCHW, None, places_BHW2)[0]
    return total.div_(taps)


def canny(images_BCHW: Tensor) -> Tensor:
    """Edges of the brightness [B, H, W], 1 on an edge and 0 elsewhere (Canny 1986).

    A Gaussian of one pixel, Sobel's gradient, only the highest pixel across an edge, and hysteresis between ``WEAK``
    and ``STRONG``.
    """
    red, green, blue = images_BCHW.unbind(1)
    grey_BHW = red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]
    for axis in (1, 2):
        grey_BHW = _along(grey_BHW, axis, tuple(w / sum(SMOOTH) for w in SMOOTH))
    slope, spread = (-0.5, 0.0, 0.5), (0.25, 0.5, 0.25)
    x_BHW = _along(_along(grey_BHW, 2, slope), 1, spread) * 2
    y_BHW = _along(_along(grey_BHW, 1, slope), 2, spread) * 2
    size_BHW = (x_BHW * x_BHW + y_BHW * y_BHW).sqrt()
    thin_BHW = _highest(size_BHW, x_BHW, y_BHW)
    return followed(thin_BHW & (size_BHW >= WEAK), thin_BHW & (size_BHW >= STRONG)).to(images_BCHW.dtype)


def followed(weak_BHW: Tensor, strong_BHW: Tensor) -> Tensor:
    """The pixels [B, H, W] of ``weak_BHW`` that a path through it, of eight neighbours each, joins to a strong one.

    All are bool; a strong pixel that is not weak leads nowhere.
    """
    masks = []
    for weak, strong in zip(weak_BHW.split(WORD), strong_BHW.split(WORD), strict=True):
        # One bit of a word for each image: a step costs as much for all of them as for one. An image that is done does
        # not change while others go on.
        bit_B11 = torch.arange(len(weak), device=weak.device)[:, None, None]
        weak_HW, strong_HW = ((x.long() << bit_B11).sum(0) for x in (weak, weak & strong))
        framed_HW = functional.pad(strong_HW, (1, 1, 1, 1))
        edge_HW = framed_HW[1:-1, 1:-1]
        while True:
            rows = framed_HW[:, :-2] | framed_HW[:, 1:-1] | framed_HW[:, 2:]
            grown_HW = (rows[:-2] | rows[1:-1] | rows[2:]) & weak_HW
            if torch.equal(grown_HW, edge_HW):
                break
            edge_HW.copy_(grown_HW)
        masks.append((edge_HW >> bit_B11) & 1 > 0)
    return torch.cat(masks)


def dilation(images_BCHW: Tensor, radius: int) -> Tensor:
    """The brightest of the square of ``radius`` pixels to each side; beyond the border is nothing."""
    # A square is a column of rows: 2 x 9 comparisons a pixel instead of 81 at radius 4.
    upright = functional.max_pool2d(images_BCHW, (2 * radius + 1, 1), 1, (radius, 0))
    return functional.max_pool2d(upright, (1, 2 * radius + 1), 1, (0, radius))


def erosion(images_BCHW: Tensor, radius: int) -> Tensor:
    """The darkest of the same square."""
    return -dilation(-images_BCHW, radius)


MORPHOLOGY: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "erosion": erosion,
    "dilation": dilation,
    "opening": lambda x, radius: dilation(erosion(x, radius), radius),
    "closing": lambda x, radius: erosion(dilation(x, radius), radius),
}
"""By the name that ``morphology_kind`` gives them."""


def _along(values_BHW: Tensor, axis: int, weights: tuple[float, ...]) -> Tensor:
    """The weighted sum of each pixel and its neighbours along ``axis``; the border's pixels stand beyond it, too."""
    reach, side = len(weights) // 2, values_BHW.shape[axis]
    places = torch.arange(-reach, side + reach, device=values_BHW.device).clamp_(0, side - 1)
    padded = values_BHW.index_select(axis, places)
    total = torch.zeros_like(values_BHW)
    for k, weight in enumerate(weights):
        if weight:
            total.add_(padded.narrow(axis, k, side), alpha=weight)
    return total


def _highest(size_BHW: Tensor, x_BHW: Tensor, y_BHW: Tensor) -> Tensor:
    """Whether a pixel's gradient is above its two neighbours' across the edge, of the nearest of four directions."""
    height, width = size_BHW.shape[1:]
    padded = functional.pad(size_BHW, (1, 1, 1, 1))

    def beside(down: int, right: int) -> Tensor:
        return padded[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]

    steep, flat = math.tan(math.radians(67.5)), math.tan(math.radians(22.5))
    level, upright = y_BHW.abs() <= flat * x_BHW.abs(), y_BHW.abs() >= steep * x_BHW.abs()
    falling = x_BHW * y_BHW > 0
    before = torch.where(falling, beside(-1, -1), beside(-1, 1))
    after = torch.where(falling, beside(1, 1), beside(1, -1))
    before = torch.where(level, beside(0, -1), torch.where(upright, beside(-1, 0), before))
    after = torch.where(level, beside(0, 1), torch.where(upright, beside(1, 0), after))
    # Of two equal pixels the first counts; rounding must not part them.
    return (size_BHW > before + 1e-6) & (size_BHW >= after - 1e-6)
