"""Augmentation of whole batches as tensors, image and mask together.

All randomness of a batch is one table with a row per image, drawn before anything is computed. So a worker that holds
a slice of the batch, with the same slice of the table, gets what it would have got from the whole batch, bit for bit;
and two configurations that differ in one strength still share every other draw.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from raytune_planes.config import Augment
from raytune_planes.datasets import boxes, crops, filters, policies, warping
from raytune_planes.datasets.filters import LUMA

FLIP, TURNS, ANGLE, ZOOM, SHIFT_X, SHIFT_Y, BRIGHTNESS, CONTRAST, SATURATION = range(9)
ERASED, ASPECT, ERASE_X, ERASE_Y, NOISE = range(9, 14)
FIRST = 14
SHEAR, ELASTIC, BLURRED, BLUR_ANGLE, BLUR_LENGTH, EDGES, MORPHOLOGY, MORPHOLOGY_KIND = range(FIRST, 22)
POLICY = slice(22, 22 + policies.COLUMNS)
SECOND = POLICY.stop
CROP = slice(SECOND, SECOND + crops.COLUMNS)
"""Draws of the window that a picture shows (``datasets.crops``), which is cut before all else."""
COLUMNS = CROP.stop
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
    # Draw after draw: columns that came later leave those of the earlier settings as they always were.
    widths = (FIRST, SECOND - FIRST, COLUMNS - SECOND)
    return torch.cat([torch.rand(count, w, dtype=torch.float64, generator=generator) for w in widths], dim=1)


def apply(
    images_BCHW: Tensor, masks_BHW: Tensor | None, settings: Augment, draws_BD: Tensor, turns: bool = True
) -> tuple[Tensor, Tensor | None]:
    """What ``augment`` does, with the random numbers given: row b belongs to image b. The input is left as it is.

    ``turns``: whether flips may turn a picture upside down, or by a quarter; those from the side are only mirrored.
    """
    assert images_BCHW.shape[2] == images_BCHW.shape[3], f"images must be square, got {tuple(images_BCHW.shape)}"
    assert draws_BD.shape == (len(images_BCHW), COLUMNS)
    images, masks = images_BCHW, masks_BHW
    if _warps(settings):
        images, masks = _warp(images, masks, settings, draws_BD, turns)
    elif settings.flips:
        images, masks = _flip(images, masks, draws_BD, turns)
    if settings.policy.kind != "none" and settings.policy.share:
        images, masks = policies.apply(images, masks, settings.policy, draws_BD[:, POLICY])
    if settings.color:
        images = _recolor(images, settings.color, draws_BD)
    if settings.blur:
        images = _blur(images, settings.blur, draws_BD)
    if settings.edges:
        images = filters.mixed(images, filters.canny(images)[:, None], settings.edges * draws_BD[:, EDGES])
    if settings.morphology:
        images = _morphology(images, settings, draws_BD)
    if settings.noise:
        images = _add_noise(images, settings.noise, draws_BD)
    if settings.erase:
        images = _erase(images, settings.erase, draws_BD)
    return images, masks


def moved_boxes(
    boxes_BM4: Tensor, settings: Augment, draws_BD: Tensor, images_BCHW: Tensor, turns: bool = True
) -> Tensor:
    """The boxes of the pictures that ``apply`` makes of ``images_BCHW`` with the same draws (see ``boxes.moved``).

    An erased area leaves boxes alone, as it leaves masks.
    """
    if _warps(settings):
        moves_BHW2 = _moves(settings, draws_BD, images_BCHW)
        boxes_BM4 = boxes.moved(boxes_BM4, _rows(settings, draws_BD, turns), moves_BHW2)
    elif settings.flips:
        quarters, mirror = _quarters(draws_BD, turns), torch.where(draws_BD[:, FLIP] < 0.5, -1.0, 1.0)
        angle, none = quarters * (math.pi / 2), torch.zeros_like(quarters)
        cos, sin = angle.cos().round(), angle.sin().round()
        boxes_BM4 = boxes.moved(boxes_BM4, (mirror * cos, -sin, none, mirror * sin, cos, none))
    if settings.policy.kind != "none" and settings.policy.share:
        boxes_BM4 = policies.moved_boxes(boxes_BM4, settings.policy, draws_BD[:, POLICY])
    return boxes_BM4


def _warps(settings: Augment) -> bool:
    return any((settings.rotate, settings.scale, settings.shift, settings.shear, settings.elastic))


def _quarters(draws_BD: Tensor, turns: bool) -> Tensor:
    """Quarter turns of each image, from 0 to 3."""
    return (draws_BD[:, TURNS] * 4).floor() * turns


def _warp(
    images_BCHW: Tensor, masks_BHW: Tensor | None, settings: Augment, draws_BD: Tensor, turns: bool
) -> tuple[Tensor, Tensor | None]:
    """Flip, quarter turn, rotation, zoom, shift, slant and elastic deformation as one bilinear sampling."""
    grid_BHW2 = warping.grid(_rows(settings, draws_BD, turns), images_BCHW)
    moves_BHW2 = _moves(settings, draws_BD, images_BCHW)
    if moves_BHW2 is not None:
        grid_BHW2 = grid_BHW2 + moves_BHW2
    return warping.sampled(images_BCHW, masks_BHW, grid_BHW2)


def _moves(settings: Augment, draws_BD: Tensor, like_BCHW: Tensor) -> Tensor | None:
    """What an elastic deformation adds to the places that pixels are read at."""
    if not settings.elastic:
        return None
    return warping.elastic(draws_BD[:, ELASTIC], settings.elastic_smoothness, like_BCHW) * (2 * settings.elastic)


def _rows(settings: Augment, draws_BD: Tensor, turns: bool) -> tuple[Tensor, ...]:
    """All but the elastic deformation, as rows of ``warping.grid``."""
    angle = _symmetric(draws_BD[:, ANGLE]) * math.radians(settings.rotate)
    mirror = torch.ones_like(angle)
    if settings.flips:
        angle = angle + _quarters(draws_BD, turns) * (math.pi / 2)
        mirror = torch.where(draws_BD[:, FLIP] < 0.5, -1.0, 1.0)
    zoom = 1 + _symmetric(draws_BD[:, ZOOM]) * settings.scale
    move_x, move_y = (2 * settings.shift * _symmetric(draws_BD[:, c]) for c in (SHIFT_X, SHIFT_Y))
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    xx, xy, yx, yy = mirror * cos, -mirror * sin, sin, cos
    if settings.shear:
        slant = (_symmetric(draws_BD[:, SHEAR]) * math.radians(settings.shear)).tan()
        xy, yy = xy + slant * xx, yy + slant * yx
    return xx, xy, move_x, yx, yy, move_y


def _flip(images_BCHW: Tensor, masks_BHW: Tensor | None, draws_BD: Tensor, turns: bool) -> tuple[Tensor, Tensor | None]:
    """One of the eight symmetries of the square for each image, without ``turns`` of two, as an exact exchange of
    pixels."""
    side = images_BCHW.shape[-1]
    pixels = torch.arange(side * side).view(side, side)
    turned = [pixels.rot90(k) for k in range(4)]
    table_8P = torch.stack([t.flatten() for t in [*turned, *(t.flip(1) for t in turned)]])
    which_B = (draws_BD[:, FLIP] < 0.5).long() * 4 + _quarters(draws_BD, turns).long()
    source_BP = table_8P[which_B].to(images_BCHW.device, non_blocking=True)
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


def _blur(images_BCHW: Tensor, most: float, draws_BD: Tensor) -> Tensor:
    hit_R = (draws_BD[:, BLURRED] < 0.5).nonzero()[:, 0]
    if not len(hit_R):
        return images_BCHW
    angle_R, length_R = draws_BD[hit_R, BLUR_ANGLE] * math.pi, draws_BD[hit_R, BLUR_LENGTH] * most
    rows = hit_R.to(images_BCHW.device, non_blocking=True)
    return images_BCHW.index_copy(0, rows, filters.motion_blur(images_BCHW[rows], angle_R, length_R, most))


def _morphology(images_BCHW: Tensor, settings: Augment, draws_BD: Tensor) -> Tensor:
    kinds = list(filters.MORPHOLOGY)
    kind_B = (draws_BD[:, MORPHOLOGY_KIND] * len(kinds)).long()
    if settings.morphology_kind != "any":
        kind_B = torch.full_like(kind_B, kinds.index(settings.morphology_kind))
    changed = torch.empty_like(images_BCHW)
    for number in kind_B.unique().tolist():  # one pass for all images of a kind
        rows = (kind_B == number).nonzero()[:, 0].to(images_BCHW.device, non_blocking=True)
        changed[rows] = filters.MORPHOLOGY[kinds[number]](images_BCHW[rows], settings.morphology_radius)
    return filters.mixed(images_BCHW, changed, settings.morphology * draws_BD[:, MORPHOLOGY])


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
    return images_BCHW.masked_fill(area_BHW[:, None].to(images_BCHW.device, non_blocking=True), GREY)


def _symmetric(uniform: Tensor) -> Tensor:
    return uniform * 2 - 1


def _per_image(values_B: Tensor, like_BCHW: Tensor) -> Tensor:
    return values_B.to(like_BCHW.device, like_BCHW.dtype, non_blocking=True)[:, None, None, None]
