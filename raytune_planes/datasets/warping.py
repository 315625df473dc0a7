"""Where each pixel of a picture comes from: affine grids with a row per image, elastic moves, and the sampling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def grid(rows: Sequence[Tensor], like_BCHW: Tensor) -> Tensor:
    """The places [B, H, W, 2] that each image is read at, from -1 to 1 along each side.

    ``rows``: xx, xy, x0, yx, yy, y0 for each image; pixel (x, y) is read at (xx x + xy y + x0, yx x + yy y + y0).
    """
    xx, xy, x0, yx, yy, y0 = (v.to(like_BCHW.device, like_BCHW.dtype, non_blocking=True)[:, None] for v in rows)
    side = like_BCHW.shape[-1]
    centre = (torch.arange(side, device=like_BCHW.device, dtype=like_BCHW.dtype) * 2 + 1) / side - 1
    along_x = torch.stack([xx * centre, yx * centre], dim=-1)[:, None]
    along_y = torch.stack([xy * centre + x0, yy * centre + y0], dim=-1)[:, :, None]
    # By hand: affine_grid multiplies matrices in batches, whose rounding depends on the size of the batch.
    return along_x + along_y


def sampled(images_BCHW: Tensor, masks_BHW: Tensor | None, grid_BHW2: Tensor) -> tuple[Tensor, Tensor | None]:
    """Images and masks read at ``grid``, bilinear.

    The mask rides along as a fourth channel and is cut at one half, so that its outline follows the image to less than
    a pixel, and both are mirrored at the border, where a plane may reach beyond the picture.

    Args:
        images_BCHW: In [0, 1].
        masks_BHW: In {0, 1}, or None.
        grid_BHW2: For each output pixel the place that it is read from, as (x, y) in [-1, 1].

    Returns:
        Images and masks of the grid's size.
    """
    both = images_BCHW if masks_BHW is None else torch.cat([images_BCHW, masks_BHW[:, None]], dim=1)
    both = functional.grid_sample(both, grid_BHW2, mode="bilinear", padding_mode="reflection", align_corners=False)
    if masks_BHW is None:
        return both, None
    return both[:, :-1], (both[:, -1] >= 0.5).to(masks_BHW.dtype)


def elastic(seed_B: Tensor, smoothness: float, like_BCHW: Tensor) -> Tensor:
    """Smooth random moves [B, H, W, 2] of mean 0 and standard deviation 1 (Simard et al. 2003, section 2).

    Uniform noise convolved with a Gaussian of ``smoothness`` x side pixels. The paper scales the result by its alpha,
    whose effect changes with sigma; here it is divided by its deviation first, so that the two settings do not mix.
    ``seed_B``, in [0, 1), is each image's own: a field does not depend on which images stand beside it.
    """
    count, side, device = len(like_BCHW), like_BCHW.shape[-1], like_BCHW.device
    generator, field = torch.Generator(device), torch.empty(count, 2, side, side, device=device)
    for moves, seed in zip(field, (seed_B * 2**53).long().tolist(), strict=True):
        moves.uniform_(-1, 1, generator=generator.manual_seed(seed))
    sigma = smoothness * side
    reach = min(math.ceil(2.5 * sigma), (side - 1) // 2)
    weights = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-reach, reach + 1)]
    # Tap by tap round the border: a convolution or a product of matrices may round by the size of the batch, and
    # padding would calm the border.
    for axis in (2, 3):
        doubled = torch.cat([field, field], dim=axis)
        field = torch.zeros_like(field)
        for k, weight in enumerate(weights):
            field.add_(doubled.narrow(axis, (k - reach) % side, side), alpha=weight)
    deviation = sum(w * w for w in weights) / math.sqrt(3)  # a uniform number in [-1, 1] has 1 / sqrt 3
    return field.div_(deviation).permute(0, 2, 3, 1)
