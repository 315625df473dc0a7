"""What a study's final check found on the test split: configurations trained again with several seeds."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raytune_planes.records import HIGHER_IS_BETTER, split_metric

FILE = "confirm.json"
"""In a study's folder."""
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
"""97.5 % points of Student's t for 1, 2, ... degrees of freedom; beyond these 1.96 + 2.5 / n is within 0.005."""


@dataclass(frozen=True)
class Interval:
    """A metric over seeds: its mean and the 95 % interval of that mean by Student's t."""

    mean: float
    low: float
    """Like ``high``, not a number with fewer than two seeds."""
    high: float
    values: tuple[float, ...]


@dataclass(frozen=True)
class Confirmed:
    """One configuration of the study, trained anew."""

    number: int
    """Of the trial that it was; 0 for the defaults."""
    metrics: Mapping[str, Interval]
    """``test/<dataset>/<metric>``."""
    failures: tuple[str, ...] = ()
    """Of the seeds that came to no result."""


def interval(values: Sequence[float]) -> Interval:
    """Mean and 95 % interval."""
    mean, n = statistics.fmean(values), len(values)
    if n < 2:
        return Interval(mean, math.nan, math.nan, tuple(values))
    t = T_95[n - 2] if n - 2 < len(T_95) else 1.96 + 2.5 / (n - 1)
    half = t * statistics.stdev(values) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, tuple(values))


def read_confirmed(study: Path) -> dict[int, Confirmed]:
    """By the trial's number; empty when no final check was made or its file cannot be read."""
    try:
        data = json.loads((study / FILE).read_bytes())
        found = [
            Confirmed(
                int(c["number"]),
                {str(k): interval([float(v) for v in m["values"]]) for k, m in c["metrics"].items()},
                tuple(c["failures"]),
            )
            for c in data
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {c.number: c for c in found}


def confirmed_gains(found: Mapping[int, Confirmed], number: int) -> dict[str, Interval]:
    """Test metric -> what trial ``number`` gained over the defaults, seed by seed.

    Both were trained with the same seeds, so the interval is that of the differences; a metric that lacks a seed on
    either side has none.
    """
    if number == 0 or number not in found or 0 not in found:
        return {}
    gained = {}
    for key, mine in found[number].metrics.items():
        usual = found[0].metrics.get(key)
        parts = split_metric(key)
        if usual and parts and parts[2] in HIGHER_IS_BETTER and len(usual.values) == len(mine.values):
            gained[key] = interval([a - b for a, b in zip(mine.values, usual.values, strict=True)])
    return gained
