"""Which patches of a picture are hidden, to be reconstructed from the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Hiding:
    """How much of a picture is hidden, and in what pieces."""

    mask: float
    """Share of its patches, in (0, 1)."""
    patch: int
    """Side of a patch in pixels."""


def draw(count: int, side: int, settings: Hiding, seeds: np.random.SeedSequence) -> Tensor:
    """Hidden pixels of ``count`` pictures of ``side`` pixels: bool [count, side, side].

    Each picture hides the same number of patches, ``mask`` of them rounded, at least one and never all where there are
    two, in places of its own (Xie et al. 2022, section 3.2). Patches at the right and lower border are cut where
    ``patch`` does not divide ``side``.
    """
    across = -(-side // settings.patch)
    patches = across**2
    number = max(1, min(patches - 1, round(settings.mask * patches)))
    order_BP = np.random.Generator(np.random.PCG64(seeds)).random((count, patches)).argsort(1)
    hidden_BP = np.zeros((count, patches), bool)
    np.put_along_axis(hidden_BP, order_BP[:, :number], True, axis=1)
    whole_BHW = hidden_BP.reshape(count, across, across).repeat(settings.patch, 1).repeat(settings.patch, 2)
    return torch.from_numpy(np.ascontiguousarray(whole_BHW[:, :side, :side]))
