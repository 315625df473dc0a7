"""The metrics of a trial that trains one configuration on every fold: of each fold, their mean, its standard error."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from raytune_planes.records import EpochRecord, TrialRecord, split_metric

STANDARD_ERROR = "standard_error"
"""``standard_error/val/fgvc/accuracy``: of the mean over folds."""
COUNTS = ("images", "scenes")
"""What validation metrics were measured on. Each picture validates in one fold, so these add up."""


def of_fold(fold: int, metrics: Mapping[str, float]) -> dict[str, float]:
    """``val/fgvc/accuracy`` -> ``fold1/val/fgvc/accuracy``; ``fold`` counts from 1."""
    return {f"fold{fold}/{key}": value for key, value in metrics.items()}


def plain(epoch: EpochRecord) -> dict[str, float]:
    """The metrics of an epoch as the training of its fold measured them; all of them where there are no folds."""
    if not epoch.fold:
        return dict(epoch.metrics)
    prefix = f"fold{epoch.fold}/"
    return {key.removeprefix(prefix): value for key, value in epoch.metrics.items() if key.startswith(prefix)}


def together(results: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean over folds of every metric, and from two folds on the standard error of each validation metric.

    Folds share training pictures, so that their results are not independent and the standard error tends to be too
    small; no estimate without that bias exists (Bengio and Grandvalet 2004).

    Args:
        results: Of each fold, the metrics of its best epoch.
    """
    out = {}
    for key in [key for key in results[0] if all(key in result for result in results)]:
        values, parts = [result[key] for result in results], split_metric(key)
        of_validation = parts is not None and parts[0] == "val"
        is_count = of_validation and parts is not None and parts[2] in COUNTS
        out[key] = math.fsum(values) if is_count else statistics.fmean(values)
        if of_validation and not is_count and len(values) > 1:
            out[f"{STANDARD_ERROR}/{key}"] = statistics.stdev(values) / math.sqrt(len(values))
    return out


def with_error(key: str, metrics: Mapping[str, float]) -> str:
    """``0.4120 ± 0.0130``, the mean over folds and its standard error; the value alone where there is none."""
    error = metrics.get(f"{STANDARD_ERROR}/{key}")
    return f"{metrics[key]:.4f}" + (f" ± {error:.4f}" if error is not None else "")


def course(trial: TrialRecord) -> tuple[EpochRecord, ...]:
    """The epochs of one training, as metrics are named everywhere: all of a trial, or those of its first fold, whose
    weights are kept."""
    return tuple(replace(e, metrics=plain(e), fold=0, result={}) for e in trial.epochs if e.fold <= 1)


def results(trial: TrialRecord) -> tuple[Mapping[str, float], ...]:
    """The metrics of each fold that has ended, at its best epoch; empty where there are no folds."""
    return tuple(e.result for e in trial.epochs if e.result)
