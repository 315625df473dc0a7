"""Oriented boxes as Gaussians, which no angle tears apart, and how far two of them are from each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SMALLEST = 1e-4
"""Side of a box in shares of the picture below which it counts as this long: a Gaussian has a width."""
TOUCHING = 1 - 1 / (1 + math.log(3))
"""``divergence_loss`` of two equal boxes side by side: their divergence is 2."""


def spread(size: Tensor, stretch: Tensor) -> Tensor:
    """Covariances (xx, xy, yy) [..., 3] of boxes with half sides ``exp(size + r)`` and ``exp(size - r)``.

    ``stretch`` [..., 2] is r (cos 2 angle, sin 2 angle): half a turn later it is the same, of a square it is 0, and any
    two numbers stand for a box. So there is no seam. The covariance is the matrix exponential of
    2 [[size + a, b], [b, size - a]], smooth in all three numbers.
    """
    a, b = stretch.unbind(-1)
    r = (a.square() + b.square() + 1e-12).sqrt()
    even, odd = (2 * r).cosh(), (2 * r).sinh() / r
    whole = (2 * size).exp()
    return torch.stack([whole * (even + odd * a), whole * odd * b, whole * (even - odd * a)], -1)


def boxes(middle: Tensor, size: Tensor, stretch: Tensor) -> Tensor:
    """The boxes (x, y, w, h, angle) [..., 5] of such Gaussians about ``middle`` [..., 2]."""
    r = stretch.norm(dim=-1)
    angle = torch.atan2(stretch[..., 1], stretch[..., 0]) / 2
    return torch.cat([middle, torch.stack([2 * (size + r).exp(), 2 * (size - r).exp(), angle], -1)], -1)


def divergence(middle: Tensor, size: Tensor, stretch: Tensor, target: Tensor) -> Tensor:
    """Kullback-Leibler divergence of predicted Gaussians from those of target boxes [..., 5], equation 4 of the source.

    A box has the mean of its centre, and the standard deviations of its half sides in their directions. The divergence
    is the same in every frame, so it is computed in the target's.

    Source:
        Yang et al. 2021, "Learning High-Precision Bounding Box for Rotated Object Detection via Kullback-Leibler
        Divergence".
    """
    x, y, w, h, angle = target.unbind(-1)
    half_w, half_h = w.clamp_min(SMALLEST) / 2, h.clamp_min(SMALLEST) / 2
    cos, sin = angle.cos(), angle.sin()
    right, down = middle[..., 0] - x, middle[..., 1] - y
    ahead, aside = (right * cos + down * sin) / half_w, (down * cos - right * sin) / half_h
    xx, xy, yy = spread(size, stretch).unbind(-1)
    along = (xx * cos.square() + 2 * xy * cos * sin + yy * sin.square()) / half_w.square()
    across = (xx * sin.square() - 2 * xy * cos * sin + yy * cos.square()) / half_h.square()
    volumes = 2 * (half_w.log() + half_h.log()) - 4 * size
    return ((ahead.square() + aside.square() + along + across + volumes) / 2 - 1).clamp_min(0)


def divergence_loss(divergence_: Tensor) -> Tensor:
    """1 - 1 / (1 + ln(1 + D)), the source's equation 14 with tau = 1 and f(D) = ln(1 + D); 1 for ``TOUCHING`` boxes."""
    return (1 - 1 / (1 + divergence_.log1p())) / TOUCHING
