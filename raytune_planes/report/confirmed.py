"""What a study's final check found on the test split: configurations trained again with several seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytune_planes.records import HIGHER_IS_BETTER, split_metric
from raytune_planes.report.formatting import shown, signed
from raytune_planes.report.intervals import of_difference, of_mean
from raytune_planes.tracking.gains import Sample, sample_of

FILE = "confirm.json"
"""In a study's folder."""


@dataclass(frozen=True)
class Interval:
    """A metric over seeds, or the gain in it: its mean and the 95 % interval of that (see ``intervals``)."""

    mean: float
    low: float | None
    """Like ``high``, None where no interval can be given: with too few seeds, or for a loss."""
    high: float | None
    values: tuple[float, ...]
    """Of each seed."""
    sample: Sample | None = None
    """What each seed was asked; None when the records do not say it."""

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Confirmed:
    """One configuration of the study, trained anew."""

    number: int
    """Of the trial that it was; 0 for the defaults."""
    metrics: Mapping[str, Interval]
    """``test/<dataset>/<metric>``."""
    failures: tuple[str, ...] = ()
    """Of the seeds without a result."""
    epochs: int = 0
    """Of the long budget that it was trained with; 0 for that of the trials."""


def interval(values: Sequence[float], sample: Sample | None) -> Interval:
    """Mean and 95 % interval over the seeds' ``values`` and over the pictures that each was asked."""
    low, high = (of_mean(values, sample.count) if sample else None) or (None, None)
    return Interval(statistics.fmean(values), low, high, tuple(values), sample)


def confirmed(number: int, results: Sequence[Mapping[str, float]], failures: Sequence[str] = ()) -> Confirmed:
    """Of the metrics that every seed with a result has."""
    keys = sorted(set.intersection(*(set(r) for r in results))) if results else []
    intervals = {key: interval([r[key] for r in results], sample_of(key, results[0])) for key in keys}
    return Confirmed(number, intervals, tuple(failures))


def read_confirmed(study: Path) -> dict[int, Confirmed]:
    """By the trial's number; empty when no final check was made or its file cannot be read."""
    try:
        data = json.loads((study / FILE).read_bytes())
        results = [_from_json(c) for c in data]
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return {}
    return {c.number: c for c in results}


def confirmed_gains(confirmed: Mapping[int, Confirmed], number: int) -> dict[str, Interval]:
    """Test metric -> what trial ``number`` gained over the defaults.

    ``values`` are the differences seed by seed, empty where one of the two lacks a seed.
    """
    if number == 0 or number not in confirmed or 0 not in confirmed:
        return {}
    gained = {}
    for key, mine in confirmed[number].metrics.items():
        baseline, parts = confirmed[0].metrics.get(key), split_metric(key)
        if baseline and parts and parts[2] in HIGHER_IS_BETTER:
            gained[key] = _gain(mine, baseline)
    return gained


def at_budget(confirmed: Iterable[Confirmed]) -> str:
    """``" after 24 epochs"`` where they were trained at a long budget."""
    epochs = max((c.epochs for c in confirmed), default=0)
    return f" after {epochs} epochs" if epochs else ""


def cell(interval: Interval | None, *, gain: bool = False) -> str:
    """``0.8500 [0.7900, 0.8960]``; with too few seeds the value of each."""
    text = signed if gain else shown
    if interval is None:
        return "-"
    if interval.low is None or interval.high is None:
        return ", ".join(map(text, interval.values)) or text(interval.mean)
    return f"{text(interval.mean)} [{text(interval.low)}, {text(interval.high)}]"


def _gain(trial: Interval, baseline: Interval) -> Interval:
    pairs = zip(trial.values, baseline.values, strict=True) if len(trial.values) == len(baseline.values) else ()
    low, high = None, None
    if trial.low is not None and trial.high is not None and baseline.low is not None and baseline.high is not None:
        low, high = of_difference(trial.mean, (trial.low, trial.high), baseline.mean, (baseline.low, baseline.high))
    return Interval(trial.mean - baseline.mean, low, high, tuple(a - b for a, b in pairs), trial.sample)


def _from_json(data: Mapping[str, Any]) -> Confirmed:
    """Intervals are computed anew from the values, so that files of an earlier method show today's."""
    metrics = {str(k): [float(v) for v in m["values"]] for k, m in data["metrics"].items()}
    sizes = {key: values[0] for key, values in metrics.items() if values}
    intervals = {key: interval(values, sample_of(key, sizes)) for key, values in metrics.items()}
    return Confirmed(int(data["number"]), intervals, tuple(map(str, data["failures"])), int(data.get("epochs", 0)))
