"""MixUp and CutMix: which two images of a batch become one, at which shares, and the blend itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raytune_planes.config import Augment


@dataclass(frozen=True)
class Recipe:
    """How each image of a batch is blended with another one of the same batch."""

    partner_B: np.ndarray
    """int64: the place of the other image in the whole batch."""
    share_B: np.ndarray
    """float64 in [0, 1]: what an image keeps of itself."""
    box_B4: np.ndarray
    """int64: top, bottom, left and right of the rectangle that CutMix pastes, in pixels; empty under MixUp."""
    pastes_B: np.ndarray
    """bool: whether the image is cut, else it is averaged."""

    def rows(self, rows_R: np.ndarray) -> Recipe:
        return Recipe(*(a[rows_R] for a in (self.partner_B, self.share_B, self.box_B4, self.pastes_B)))


def is_asked(settings: Augment) -> bool:
    return settings.mixup > 0 or settings.cutmix > 0


def draw(count: int, side: int, settings: Augment, seeds: np.random.SeedSequence) -> Recipe:
    """The recipe of a whole batch of ``count`` images of ``side`` pixels, the same for whoever holds a part of it.

    Partners are a random order of the batch, so that each image is taken once. Every image has a share of its own,
    lambda ~ Beta(alpha, alpha) (Zhang et al. 2018, section 2; Yun et al. 2019, section 3.1). CutMix's rectangle has
    sides of sqrt(1 - lambda) of the image's, its centre anywhere; what lies outside is cut off, and the share is what
    then is left.
    """
    order, kind, mixup, cutmix, place = (np.random.Generator(np.random.PCG64(s)) for s in seeds.spawn(5))
    partner_B = order.permutation(count)
    pastes_B = kind.random(count) < (0.5 if settings.mixup and settings.cutmix else float(settings.cutmix > 0))
    share_B = mixup.beta(settings.mixup, settings.mixup, count) if settings.mixup else np.ones(count)
    box_B4 = np.zeros((count, 4), np.int64)
    if settings.cutmix:
        half_B = np.sqrt(1 - cutmix.beta(settings.cutmix, settings.cutmix, count)) * side / 2
        centre_B2 = place.random((count, 2)) * side
        edges = [centre_B2[:, 0] - half_B, centre_B2[:, 0] + half_B, centre_B2[:, 1] - half_B, centre_B2[:, 1] + half_B]
        box_B4 = np.where(pastes_B[:, None], np.clip(np.stack(edges, 1).round(), 0, side).astype(np.int64), 0)
        pasted_B = (box_B4[:, 1] - box_B4[:, 0]) * (box_B4[:, 3] - box_B4[:, 2])
        share_B = np.where(pastes_B, 1 - pasted_B / side**2, share_B)
    return Recipe(partner_B, share_B, box_B4, pastes_B)


def blend(mine: Tensor, other: Tensor, recipe: Recipe) -> Tensor:
    """Images [B, C, H, W] or masks [B, H, W] of the recipe's rows, with those of their partners."""
    shape = (-1, *[1] * (mine.ndim - 1))
    kept_B = torch.from_numpy(np.where(recipe.pastes_B, 1.0, recipe.share_B))
    share = kept_B.to(mine.device, mine.dtype, non_blocking=True).view(shape)
    mixed = other + share * (mine - other)
    places = np.arange(mine.shape[-1])
    top, bottom, left, right = (edge[:, None] for edge in recipe.box_B4.T)
    inside_BHW = ((places >= top) & (places < bottom))[:, :, None] & ((places >= left) & (places < right))[:, None]
    inside = torch.from_numpy(inside_BHW).to(mine.device, non_blocking=True)
    # A whole share must give the very picture, which other + (mine - other) is not always.
    kept = torch.where(share == 1, mine, mixed)
    return torch.where(inside if mine.ndim == 3 else inside[:, None], other, kept)
