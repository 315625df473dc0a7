"""RandAugment and AutoAugment: operations drawn for each image, computed at once for all images that drew the same.

torchvision's transforms draw one operation for a whole batch, out of the global generator; its functions take one
strength for all images, average by the batch's layout, leave masks alone, and cost each process six seconds of import.
So the operations are written out here; a test holds each against torchvision's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from raytune_planes.config import Policy
from raytune_planes.datasets import boxes, warping
from raytune_planes.datasets.filters import LUMA

STEPS = 4
"""Most operations one after the other (``policy.number``)."""
COLUMNS = 1 + 3 * STEPS
"""Draws of an image: whether it is treated, then for each step which operation, whether, and its sign."""
HIGHEST = 30
"""RandAugment's highest magnitude."""


def apply(
    images_BCHW: Tensor, masks_BHW: Tensor | None, settings: Policy, draws_BD: Tensor
) -> tuple[Tensor, Tensor | None]:
    """The policy of ``settings`` on a batch; ``draws_BD``: uniform in [0, 1), [B, COLUMNS]. The input stays as it is.

    Geometric operations move the mask along and mirror the image at its border; the others leave the mask, and count
    in whole steps of 1/255, as the papers' do.

    Args:
        images_BCHW: In [0, 1].
        masks_BHW: In {0, 1}, or None.
        settings: Which policy, and how strong.
        draws_BD: Random numbers; row b decides over image b.

    Source:
        Cubuk et al. 2019 (AutoAugment) and 2020 (RandAugment).
    """
    images, masks = images_BCHW.clone(), None if masks_BHW is None else masks_BHW.clone()
    for name, rows_R, level_R in _plan(settings, draws_BD):
        _change(images, masks, rows_R, level_R, name)
    return images, masks


def moved_boxes(boxes_BM4: Tensor, settings: Policy, draws_BD: Tensor) -> Tensor:
    """The boxes of the pictures that ``apply`` makes with the same draws (see ``boxes.moved``)."""
    out_BM4 = boxes_BM4.clone()
    for name, rows_R, level_R in _plan(settings, draws_BD):
        if name in MOVES:
            out_BM4[rows_R] = boxes.moved(out_BM4[rows_R], _rows(name, level_R))
    return out_BM4


def _plan(settings: Policy, draws_BD: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Operation after operation: its name, the rows of the batch that it is for, and their levels."""
    treated_B = draws_BD[:, 0] < settings.share
    pick, chance, sign = (draws_BD[:, 1 + k * STEPS : 1 + (k + 1) * STEPS] for k in range(3))
    steps = _rand_augment if settings.kind == "randaugment" else _auto_augment
    names = list(OPERATIONS)
    for step, (which_B, level_B) in enumerate(steps(settings, pick, chance)):
        which_B = torch.where(treated_B, which_B, NOTHING)
        for number in which_B.unique().tolist():
            if number == NOTHING:
                continue
            rows_R = (which_B == number).nonzero()[:, 0]
            level_R = level_B[rows_R]
            if names[number] in SIGNED:
                level_R = torch.where(sign[rows_R, step] < 0.5, -level_R, level_R)
            yield names[number], rows_R, level_R


def _change(images: Tensor, masks: Tensor | None, rows_R: Tensor, level_R: Tensor, name: str) -> None:
    """One operation on some rows, in place."""
    rows_R = rows_R.to(images.device, non_blocking=True)
    if name in MOVES:
        places = warping.grid(_rows(name, level_R), images)
        moved, moved_masks = warping.sampled(images[rows_R], None if masks is None else masks[rows_R], places)
        images[rows_R] = moved
        if masks is not None and moved_masks is not None:
            masks[rows_R] = moved_masks
    else:
        level = level_R.to(images.device, images.dtype, non_blocking=True)[:, None, None, None]
        images[rows_R] = COLOURS[name]((images[rows_R] * 255).round_(), level).div_(255)


def _rows(name: str, level_R: Tensor) -> Rows:
    return MOVES[name](level_R, torch.ones_like(level_R), torch.zeros_like(level_R))


def _rand_augment(settings: Policy, pick: Tensor, chance: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Cubuk et al. 2020, section 3: ``number`` operations, each drawn evenly from 14, one magnitude for all."""
    level_B = torch.full_like(pick[:, 0], settings.magnitude / HIGHEST)
    listed = torch.tensor([NOTHING if n == "identity" else list(OPERATIONS).index(n) for n in RAND_AUGMENT])
    return [(listed[(pick[:, k] * len(listed)).long()], level_B) for k in range(settings.number)]


def _auto_augment(settings: Policy, pick: Tensor, chance: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Cubuk et al. 2019, section 3.1: one pair drawn evenly, each of its operations with a probability and strength."""
    pair_B = (pick[:, 0] * len(IMAGENET)).long()
    names, steps = list(OPERATIONS), []
    for k in range(2):
        which = torch.tensor([names.index(pair[k][0]) for pair in IMAGENET])[pair_B]
        odds = torch.tensor([pair[k][1] for pair in IMAGENET], dtype=pick.dtype)[pair_B]
        level_B = torch.tensor([pair[k][2] / 9 for pair in IMAGENET], dtype=pick.dtype)[pair_B]
        steps.append((torch.where(chance[:, k] < odds, which, NOTHING), level_B))
    return steps


def _grey(x: Tensor) -> Tensor:
    red, green, blue = x.split(1, dim=1)
    return (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]).floor_()


def _blend(x: Tensor, base: Tensor, level: Tensor) -> Tensor:
    """Away from ``base`` for a positive level, towards it for a negative one: by up to 90 %."""
    return (x + (x - base) * (0.9 * level)).clamp_(0, 255).floor_()


def _contrast(x: Tensor, level: Tensor) -> Tensor:
    # The sum of whole numbers in float64 is exact in whatever order it is taken.
    return _blend(x, _grey(x).double().mean((1, 2, 3), keepdim=True).to(x.dtype), level)


def _sharpness(x: Tensor, level: Tensor) -> Tensor:
    """Away from or towards the mean of 3 x 3 pixels, in which the middle one counts five times; not at the border."""
    side, middle = x.shape[-1] - 2, x[:, :, 1:-1, 1:-1]
    total = 4 * middle
    for down in range(3):
        for right in range(3):
            total = total + x[:, :, down : down + side, right : right + side]
    out = x.clone()
    out[:, :, 1:-1, 1:-1] = _blend(middle, (total / 13).round(), level)
    return out


def _posterize(x: Tensor, level: Tensor) -> Tensor:
    """8 bits down to 4."""
    step = 2 ** (4 * level).round()
    return (x / step).floor_() * step


def _autocontrast(x: Tensor, level: Tensor) -> Tensor:
    """Each channel stretched over the whole range."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    stretched = ((x - low) * 255 / (high - low).clamp_min(1)).floor_()
    return torch.where(high > low, stretched, x)


def _equalize(x: Tensor, level: Tensor) -> Tensor:
    """Each channel's levels moved so that all are about equally frequent, by the rounding of Pillow's ImageOps."""
    level_BCP = x.flatten(2).long()
    count_BCL = level_BCP.new_zeros(*x.shape[:2], 256).scatter_add_(2, level_BCP, torch.ones_like(level_BCP))
    brightest = level_BCP.amax(2, keepdim=True)
    step = (level_BCP.shape[2] - count_BCL.gather(2, brightest)) // 255
    below = count_BCL.cumsum(2) - count_BCL
    table_BCL = torch.where(step > 0, (below + step // 2) // step.clamp_min(1), torch.arange(256, device=x.device))
    return table_BCL.clamp_(0, 255).gather(2, level_BCP).view(x.shape).to(x.dtype)


Rows = tuple[Tensor, ...]
MOVES: Mapping[str, Callable[[Tensor, Tensor, Tensor], Rows]] = {
    "shear_x": lambda level, one, none: (one, 0.3 * level, none, none, one, none),
    "shear_y": lambda level, one, none: (one, none, none, 0.3 * level, one, none),
    "translate_x": lambda level, one, none: (one, none, 2 * 150 / 331 * level, none, one, none),
    "translate_y": lambda level, one, none: (one, none, none, none, one, 2 * 150 / 331 * level),
    "rotate": lambda level, one, none: (
        *((level * math.radians(30)).cos(), -(level * math.radians(30)).sin(), none),
        *((level * math.radians(30)).sin(), (level * math.radians(30)).cos(), none),
    ),
}
"""Rows of ``warping.grid`` for a signed level in [-1, 1]; ranges of Cubuk et al. 2019, table 6."""

COLOURS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": lambda x, level: _blend(x, torch.zeros_like(x), level),
    "color": lambda x, level: _blend(x, _grey(x), level),
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": lambda x, level: torch.where(x >= 256 * (1 - level), 255 - x, x),
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "invert": lambda x, level: 255 - x,
}
"""Whole levels in [0, 255], [R, 3, H, W], and the strength in [-1, 1] of each image, to whole levels."""

OPERATIONS = {**MOVES, **COLOURS}
NOTHING = -1
SIGNED = (*MOVES, "brightness", "color", "contrast", "sharpness")
"""Those that go both ways."""
RAND_AUGMENT = ("identity", *(name for name in OPERATIONS if name != "invert"))

IMAGENET = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 5)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 4), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 7)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 2)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 8), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("color", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 2)),
    (("equalize", 0.0, 7), ("equalize", 0.8, 8)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("color", 1.0, 2)),
    (("color", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 8)),
    (("shear_x", 0.6, 5), ("equalize", 1.0, 9)),
    (("color", 0.4, 0), ("equalize", 0.6, 3)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 5)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
)
"""Cubuk et al. 2019, table 9: pairs of (operation, probability, magnitude from 0 to 9)."""
