"""Augmentation of whole batches as tensors, image and mask together, for pictures that have no up.

All randomness of a batch is one table with a row per image, drawn before anything is computed. So a worker that holds
a slice of the batch, with the same slice of the table, gets what it would have got from the whole batch, bit for bit;
and two configurations that differ in one strength still share every other draw.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from raytune_planes.config import Augment

FLIP, TURNS, ANGLE, ZOOM, SHIFT_X, SHIFT_Y, BRIGHTNESS, CONTRAST, SATURATION = range(9)
ERASED, ASPECT, ERASE_X, ERASE_Y, NOISE = range(9, 14)
COLUMNS = 14
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""
GREY = 0.5
"""What an erased area shows: zero after normalisation."""


def augment(
    images_BCHW: Tensor, masks_BHW: Tensor | None, settings: Augment, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Transform a batch at random.

    Args:
        images_BCHW: float32 in [0, 1], square.
        masks_BHW: float32 in {0, 1}, or None.
        settings: the strengths; everything at 0 returns the input as it is.
        generator: a CPU generator; exactly one table of draws is taken from it.

    Returns:
        The transformed images in [0, 1] and the masks in {0, 1}.
    """
    return apply(images_BCHW, masks_BHW, settings, draw(len(images_BCHW), generator))


def draw(count: int, generator: torch.Generator) -> Tensor:
    """The random numbers of ``count`` images: float64 [count, COLUMNS], uniform in [0, 1)."""
    return torch.rand(count, COLUMNS, dtype=torch.float64, generator=generator)


def apply(
    images_BCHW: Tensor, masks_BHW: Tensor | None, settings: Augment, draws_BD: Tensor
) -> tuple[Tensor, Tensor | None]:
    """What ``augment`` does, with the random numbers given: row b belongs to image b. The input is left as it is."""
    assert images_BCHW.shape[2] == images_BCHW.shape[3], f"images must be square, got {tuple(images_BCHW.shape)}"
    assert draws_BD.shape == (len(images_BCHW), COLUMNS)
    images, masks = images_BCHW, masks_BHW
    if settings.rotate or settings.scale or settings.shift:
        images, masks = _warp(images, masks, settings, draws_BD)
    elif settings.flips:
        images, masks = _flip(images, masks, draws_BD)
    if settings.color:
        images = _recolor(images, settings.color, draws_BD)
    if settings.noise:
        images = _add_noise(images, settings.noise, draws_BD)
    if settings.erase:
        images = _erase(images, settings.erase, draws_BD)
    return images, masks


def _warp(
    images_BCHW: Tensor, masks_BHW: Tensor | None, settings: Augment, draws_BD: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Flip, quarter turn, rotation, zoom and shift as one bilinear sampling.

    The mask rides along as a fourth channel and is cut at one half, so that its outline follows the image to less than
    a pixel, and both are mirrored at the border, where a plane may reach beyond the picture.
    """
    angle = _symmetric(draws_BD[:, ANGLE]) * math.radians(settings.rotate)
    mirror = torch.ones_like(angle)
    if settings.flips:
        angle = angle + (draws_BD[:, TURNS] * 4).floor() * (math.pi / 2)
        mirror = torch.where(draws_BD[:, FLIP] < 0.5, -1.0, 1.0)
    zoom = 1 + _symmetric(draws_BD[:, ZOOM]) * settings.scale
    move_x, move_y = (2 * settings.shift * _symmetric(draws_BD[:, c]) for c in (SHIFT_X, SHIFT_Y))
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    rows = (mirror * cos, -mirror * sin, move_x, sin, cos, move_y)
    xx, xy, x0, yx, yy, y0 = (_per_image(v, images_BCHW)[:, 0, 0] for v in rows)
    side = images_BCHW.shape[-1]
    centre = (torch.arange(side, device=images_BCHW.device, dtype=images_BCHW.dtype) * 2 + 1) / side - 1
    along_x = torch.stack([xx * centre, yx * centre], dim=-1)[:, None]
    along_y = torch.stack([xy * centre + x0, yy * centre + y0], dim=-1)[:, :, None]
    # By hand: affine_grid multiplies matrices in batches, whose rounding depends on the size of the batch.
    grid_BHW2 = along_x + along_y
    both = images_BCHW if masks_BHW is None else torch.cat([images_BCHW, masks_BHW[:, None]], dim=1)
    both = functional.grid_sample(both, grid_BHW2, mode="bilinear", padding_mode="reflection", align_corners=False)
    if masks_BHW is None:
        return both, None
    return both[:, :-1], (both[:, -1] >= 0.5).to(masks_BHW.dtype)


def _flip(images_BCHW: Tensor, masks_BHW: Tensor | None, draws_BD: Tensor) -> tuple[Tensor, Tensor | None]:
    """One of the eight symmetries of the square for each image, as an exact exchange of pixels."""
    side = images_BCHW.shape[-1]
    pixels = torch.arange(side * side).view(side, side)
    turned = [pixels.rot90(k) for k in range(4)]
    table_8P = torch.stack([t.flatten() for t in [*turned, *(t.flip(1) for t in turned)]])
    which_B = (draws_BD[:, FLIP] < 0.5).long() * 4 + (draws_BD[:, TURNS] * 4).long()
    source_BP = table_8P[which_B].to(images_BCHW.device)
    source_BCP = source_BP[:, None].expand(-1, images_BCHW.shape[1], -1)
    images = images_BCHW.flatten(2).gather(2, source_BCP).view(images_BCHW.shape)
    return images, None if masks_BHW is None else masks_BHW.flatten(1).gather(1, source_BP).view(masks_BHW.shape)


def _recolor(images_BCHW: Tensor, strength: float, draws_BD: Tensor) -> Tensor:
    """Brightness, contrast about mid-grey, and saturation, each by a factor in [1 - strength, 1 + strength].

    The three are linear, so they are one pass: brightness * (contrast * (x' - 1/2) + 1/2) with
    x' = saturation * x + (1 - saturation) * luma.
    """
    bright, contrast, saturation = (
        1 + strength * _symmetric(draws_BD[:, c]) for c in (BRIGHTNESS, CONTRAST, SATURATION)
    )
    gain = bright * contrast
    own = _per_image(gain * saturation, images_BCHW)
    grey = _per_image(gain * (1 - saturation), images_BCHW)
    offset = _per_image(bright * (1 - contrast) * 0.5, images_BCHW)
    red, green, blue = images_BCHW.split(1, dim=1)
    luma_B1HW = red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]
    return (images_BCHW * own).add_(luma_B1HW.mul_(grey).add_(offset)).clamp_(0, 1)


def _add_noise(images_BCHW: Tensor, deviation: float, draws_BD: Tensor) -> Tensor:
    """Gaussian noise from a seed per image, so that it does not depend on which images stand beside it."""
    generator = torch.Generator(images_BCHW.device)
    noise = torch.empty_like(images_BCHW, memory_format=torch.contiguous_format)
    for image, seed in zip(noise, (draws_BD[:, NOISE] * 2**53).long().tolist(), strict=True):
        image.normal_(0, deviation, generator=generator.manual_seed(seed))
    return noise.add_(images_BCHW).clamp_(0, 1)


def _erase(images_BCHW: Tensor, share: float, draws_BD: Tensor) -> Tensor:
    """Grey out a rectangle of ``share`` of the area, its sides in a ratio of 1:2 to 2:1, in half of the images.

    Masks are left alone: the plane is still there, and is to be inferred from what stays visible. Erasing it from the
    mask as well would teach the decoder only that grey is background.
    """
    height = (share * 2 ** _symmetric(draws_BD[:, ASPECT])).sqrt()
    width = share / height
    erased = draws_BD[:, ERASED] < 0.5
    centre = (torch.arange(images_BCHW.shape[-1], dtype=draws_BD.dtype) + 0.5) / images_BCHW.shape[-1]

    def inside(length: Tensor, place: Tensor) -> Tensor:
        start = (place * (1 - length))[:, None]
        return (centre >= start) & (centre < start + length[:, None])

    rows_BH, columns_BW = inside(height, draws_BD[:, ERASE_Y]), inside(width, draws_BD[:, ERASE_X])
    area_BHW = erased[:, None, None] & rows_BH[:, :, None] & columns_BW[:, None, :]
    return images_BCHW.masked_fill(area_BHW[:, None].to(images_BCHW.device), GREY)


def _symmetric(uniform: Tensor) -> Tensor:
    return uniform * 2 - 1


def _per_image(values_B: Tensor, like_BCHW: Tensor) -> Tensor:
    return values_B.to(like_BCHW.device, like_BCHW.dtype)[:, None, None, None]
