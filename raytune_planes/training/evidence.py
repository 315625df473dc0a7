"""What a stretch of a validation curve says, given its noise: its level, its gain for a doubling, how certain both are.

Curves of learning flatten: what a metric gains while the training doubles does not grow (power laws of Hestness et al.
2017). So the line is drawn over the logarithm of the epochs, and over what is left of a budget it is an upper bound.

The noise of a value is estimated from two sources. The n pictures of the split bound it before any value is seen: the
mean of n values in [0, 1] around p has at most the variance p (1 - p) / n (Bhatia and Davis 2000), which is that of an
accuracy. The scatter around the line tells the rest: networks that are one epoch apart answer most pictures alike. Both
are pooled as an empirical Bayes estimate of a variance (Smyth 2004): never 0, and usable from one value on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

WEIGHT = 4.0
"""Degrees of freedom that the bound of the split counts for beside the scatter."""
GROUPS = 6
"""Means that a stretch is divided into, at most. Values that are close in time are of the same pictures and of networks
that are much alike: what scatters is what counts from group to group. So 6 epochs and 600 are judged alike."""


@dataclass(frozen=True)
class Line:
    """The straight line through the values over the logarithm of their epochs, by least squares."""

    level: float
    """Mean of the values."""
    slope: float
    """Gain while the training becomes e times as long; 0 for fewer than three values."""
    slope_error: float
    """Standard error of ``slope``; infinite for fewer than three values."""
    freedom: float
    """Degrees of freedom of ``slope_error``."""
    chance: float
    """How far another value lies from ``level`` by chance: the standard error of their difference."""

    def highest_slope(self, confidence: float) -> float:
        """The upper limit of the slope, one-sided."""
        return self.slope + quantile(confidence, self.freedom) * self.slope_error

    def furthest(self, confidence: float) -> float:
        """How far another value lies from ``level`` by chance, at most, two-sided."""
        return quantile((1 + confidence) / 2, self.freedom) * self.chance


def line(values: Sequence[float], pictures: float, epoch: int) -> Line:
    """The line through ``values`` of a metric in [0, 1], of consecutive epochs.

    Args:
        values: Oldest first.
        pictures: Over which each is a mean.
        epoch: Of the last one, from 1 on.
    """
    curve_M = np.asarray(values, dtype=np.float64)
    count, level = len(curve_M), float(curve_M.mean())
    p = (level * pictures + 1) / (pictures + 2)  # Laplace: a split that is all right is not without noise
    bound = p * (1 - p) / max(1.0, pictures)
    off_M, off_G = _places(count, epoch)
    groups = len(off_G)
    mean_G, free = _means(curve_M, groups), groups - 2
    if free < 1:
        return Line(level, 0.0, math.inf, WEIGHT, math.sqrt(bound * (1 + 1 / groups)))
    spread = float(off_G @ off_G)
    slope = float(off_G @ mean_G) / spread
    of_group = _pooled(mean_G - mean_G.mean() - slope * off_G, bound)
    of_value = _pooled(curve_M - level - slope * off_M, bound)
    error = math.sqrt(of_group / spread)
    return Line(level, slope, error, WEIGHT + free, math.sqrt(of_value + of_group / groups))


@lru_cache(maxsize=4096)
def _places(count: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """How far the logarithms of ``count`` epochs to ``epoch``, and of their groups, lie from their means: the same for
    every dataset and trial."""
    at_M = np.log(np.arange(epoch - count + 1, epoch + 1))
    at_G = _means(at_M, min(count, GROUPS))
    return at_M - at_M.mean(), at_G - at_G.mean()


def _means(of_M: np.ndarray, groups: int) -> np.ndarray:
    return np.array([part.mean() for part in np.array_split(of_M, groups)])


def _pooled(residuals: np.ndarray, bound: float) -> float:
    """The variance of one of the values whose distances from a line are ``residuals``, between theirs and ``bound``."""
    free = len(residuals) - 2
    return float((WEIGHT * bound + residuals @ residuals) / (WEIGHT + free))


def quantile(probability: float, freedom: float) -> float:
    """Of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))
