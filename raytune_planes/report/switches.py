"""What each setting of two values brings over all trials of a study: a table with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raytune_planes.report.figure import Table
from raytune_planes.report.formatting import shown, signed
from raytune_planes.report.search import primary_metrics, results
from raytune_planes.report.varied import axes, drawn, place
from raytune_planes.tracking.reading import StudyFiles

METHOD = (
    "Settings of two values: the change of each dataset's metric from the first value to the second, by least squares "
    "over complete trials with different settings, as if the settings' effects added up; 95 % intervals by Student's "
    "t from what that leaves over, which holds interactions and the chance of one training each, not that of the "
    "validation pictures, on which all are judged. n: those trials; a dash where they are no more than the settings "
    "and one, or two settings changed together in all."
)
LEAST = 2
"""Settings of two values from which a study is a table of switches."""


@dataclass(frozen=True)
class Effect:
    """Of one setting on one metric."""

    path: str
    values: tuple[str, str]
    metric: str
    means: tuple[float, float]
    """Of the trials with each value."""
    change: float
    """From the first value to the second, the other settings held."""
    half: float
    """Of the 95 % interval; not a number where too few trials are left over."""
    trials: int


def effects(study: StudyFiles) -> tuple[Effect, ...]:
    """Of every setting of two values on every dataset's metric; none with fewer than ``LEAST`` such settings."""
    switches = [axis for axis in axes(study) if len(axis.choices) == 2]
    complete = [(t, r) for t, r in zip(study.trials, results(study), strict=True) if t.end.is_complete]
    out: list[Effect] = []
    if len(switches) < LEAST:
        return ()
    for metric in primary_metrics(study).values():
        rows: dict[tuple[float, ...], float] = {}
        for trial, result in complete:
            at = tuple(place(axis, drawn(study, trial)) for axis in switches)
            value = result.metrics.get(metric, math.nan)
            if all(map(math.isfinite, (*at, value))):
                rows.setdefault(at, value)  # the same settings again are the same training
        if not rows:
            continue
        coded_NK, value_N = np.array(list(rows)), np.array(list(rows.values()))
        change_K, half_K = fitted(coded_NK, value_N)
        for k, axis in enumerate(switches):
            parts = [value_N[coded_NK[:, k] == side] for side in (0, 1)]
            if all(map(len, parts)):
                means = float(parts[0].mean()), float(parts[1].mean())
                values = axis.choices[0], axis.choices[1]
                out.append(Effect(axis.path, values, metric, means, float(change_K[k]), float(half_K[k]), len(value_N)))
    return tuple(out)


def fitted(coded_NK: np.ndarray, value_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The effect of each column and half of its 95 % interval, by least squares with an intercept.

    Args:
        coded_NK: 0 or 1.
        value_N: What was measured.

    Returns:
        Both [K]; not numbers where the columns cannot be told apart, or the rows are no more than the unknowns.
    """
    from scipy.stats import t as student

    design = np.column_stack([np.ones(len(coded_NK)), coded_NK])
    count, unknowns = design.shape
    nothing = np.full(unknowns - 1, math.nan)
    if np.linalg.matrix_rank(design) < unknowns:
        return nothing, nothing
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ design.T @ value_N
    free = count - unknowns
    if free < 1:
        return beta[1:], nothing
    variance = float(((value_N - design @ beta) ** 2).sum()) / free
    return beta[1:], float(student.ppf(0.975, free)) * np.sqrt(variance * np.diag(inverse)[1:])


def tables(study: StudyFiles) -> Sequence[Table]:
    """One, or none where the study has no such settings or no two complete trials."""
    rows = tuple(
        (e.path, f"{e.values[0]} → {e.values[1]}", e.metric, shown(e.means[0]), shown(e.means[1]), signed(e.change),
         f"± {e.half:.4f}" if math.isfinite(e.half) else "-", str(e.trials))
        for e in effects(study)
    )  # fmt: skip
    head = ("setting", "values", "metric", "mean of the first", "of the second", "change", "95 %", "n")
    return [Table(head, rows)] if rows else []
