"""95 % intervals of a metric in [0, 1] that cover both the seeds of the training and the pictures of the split."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

LEAST = 3
"""Seeds. The spread of two says next to nothing: the quantile of Student's t for one degree of freedom is 12.7."""
METHOD = (
    "Intervals: 95 %, over seeds and pictures, by Wilson's score with the effective sample size (Korn and Graubard "
    "1998; Dean and Pagano 2015); of a gain, by Newcombe (1998, method 10), as if the two had been asked "
    f"different pictures, which makes it wider. With fewer than {LEAST} seeds the value of each seed stands instead."
)


def of_mean(values: Sequence[float], n: int) -> tuple[float, float] | None:
    """The interval of the mean of ``values``, one per seed, each measured on the same ``n`` pictures or scenes.

    Two variances add up: that of the mean over the seeds, s² / S, and that of a mean over n pictures, at most
    p (1 - p) / n for anything in [0, 1] with mean p (Bhatia and Davis 2000; a proportion has exactly that). So many
    independent pictures as give the same variance are the effective sample size n*, with which Wilson's score interval
    (1927) is taken, as for proportions in surveys by clusters (Korn and Graubard 1998; Dean and Pagano 2015). It stays
    within [0, 1] and has a width at 0 and at 1. The quantile is Student's for the degrees of freedom by Satterthwaite
    (1946): those of the seeds where these dominate, without limit where the pictures do.

    Returns:
        Its ends, or None with fewer than ``LEAST`` seeds, without pictures, or of values that are not all in [0, 1].
    """
    if len(values) < LEAST or n < 1 or not all(0 <= v <= 1 for v in values):
        return None
    from scipy.stats import t as student

    p, seeds = statistics.fmean(values), statistics.variance(values) / len(values)
    pictures = p * (1 - p) / n
    total = seeds + pictures
    effective = p * (1 - p) / total if total > 0 else float(n)
    freedom = (len(values) - 1) * (total / seeds) ** 2 if seeds > 0 else math.inf
    return _wilson(p, effective, float(student.ppf(0.975, freedom)))


def of_pictures(value: float, n: int) -> tuple[float, float] | None:
    """Wilson's interval of one training's ``value`` over its ``n`` pictures or scenes; it says nothing of other seeds.

    Returns:
        Its ends, or None without pictures, or of a value outside [0, 1].
    """
    return _wilson(value, float(n), statistics.NormalDist().inv_cdf(0.975)) if n >= 1 and 0 <= value <= 1 else None


def of_folds(values: Sequence[float]) -> tuple[float, float] | None:
    """The interval of the mean of ``values``, one per fold, by Student's t.

    Each fold has validation pictures of its own, so that the spread between folds holds what pictures add to it.

    Returns:
        Its ends, or None with fewer than ``LEAST`` folds.
    """
    if len(values) < LEAST:
        return None
    from scipy.stats import t as student

    half = float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return mean - half, mean + half


def of_difference(
    value: float,
    interval: tuple[float, float],
    baseline: float,
    baseline_interval: tuple[float, float],
    correlation: float = 0.0,
) -> tuple[float, float]:
    """The interval of ``value - baseline`` from the interval of each, within [-1, 1] (Newcombe 1998, method 10).

    Args:
        value: A mean in [0, 1].
        interval: Its ends.
        baseline: The mean that it is compared with.
        baseline_interval: Its ends.
        correlation: Of the two on the same pictures, as ``of_pairs`` tells it; 0 as if the pictures were others.
    """
    low = value - baseline - _apart(value - interval[0], baseline_interval[1] - baseline, correlation)
    high = value - baseline + _apart(interval[1] - value, baseline - baseline_interval[0], correlation)
    return max(-1.0, low), min(1.0, high)


def of_pairs(both: int, first: int, second: int, neither: int) -> float:
    """The correlation of two answers to each of the same pictures, less a correction for few of them (Newcombe 1998,
    on paired data, method 10).

    Args:
        both, first, second, neither: Pictures that both answer rightly, the first alone, the second alone, none.
    """
    spread = (both + first) * (second + neither) * (both + second) * (first + neither)
    excess = float(both * neither - first * second)
    if excess > 0:
        excess = max(0.0, excess - (both + first + second + neither) / 2)
    return excess / math.sqrt(spread) if spread else 0.0


def _apart(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one**2 - 2 * correlation * one * other + other**2))


def _wilson(p: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's score interval of ``p`` over ``n`` independent pictures, at the quantile ``z``."""
    middle, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + (z / n) ** 2 / 4)
    whole = 1 + z**2 / n
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)
