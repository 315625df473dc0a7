"""The numbers behind the six figures of the published work, from the log of one trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from raytune_planes.fold_metrics import course as of_training
from raytune_planes.printing import counted
from raytune_planes.records import Decision, TrialRecord, metric, split_metric
from raytune_planes.report.figure import Figure, Missing
from raytune_planes.report.log import Log
from raytune_planes.tasks.base import Task

BINS = 12
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Counts:
    """Samples per dataset and split."""

    counts: Mapping[str, Mapping[str, int]]
    exact: bool


@dataclass(frozen=True)
class Curves:
    """A metric in [0, 1] per epoch."""

    epochs: tuple[int, ...]
    lines: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]
    """Dataset -> its value of the training and the validation set per epoch, either of them empty when never measured,
    NaN in an epoch that did not measure it."""
    decisions: tuple[Decision, ...]
    metric: str = "accuracy"


@dataclass(frozen=True)
class Box:
    """Five numbers and the values they sum up; whiskers reach the farthest value within 1.5 of the box's height."""

    low: float
    quarter: float
    median: float
    three_quarters: float
    high: float
    values: tuple[float, ...]


@dataclass(frozen=True)
class Boxes:
    """Training loss over epochs, by dataset."""

    boxes: Mapping[str, Box]
    unit: str


@dataclass(frozen=True)
class Correlation:
    """Pearson's r of the validation accuracies of each two datasets over the epochs."""

    datasets: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    """NaN where one of the two does not change."""
    epochs: int


@dataclass(frozen=True)
class Scatter:
    """Training against validation accuracy."""

    points: Mapping[str, tuple[tuple[int, float, float], ...]]
    """Dataset -> (epoch, training accuracy, validation accuracy)."""


@dataclass(frozen=True)
class Histogram:
    """How often the training's contrastive loss, one value per epoch, fell into each bin."""

    edges: tuple[float, ...]
    counts: Mapping[str, tuple[int, ...]]
    unit: str


def counts(log: Log) -> Counts | Missing:
    known = {d: {s: n[s] for s in SPLITS if s in n} for d, n in sorted(log.counts.items()) if n}
    return Counts(known, log.counted) if known else Missing("the records name no sample counts")


def accuracy(log: Log) -> Curves | Missing:
    lines = {d: (log.series("train", d, "accuracy"), log.series("val", d, "accuracy")) for d in log.datasets}
    lines = {d: pair for d, pair in lines.items() if any(pair)}
    return Curves(log.epochs, lines, log.decisions) if lines else Missing("no accuracy was recorded")


def course(trial: TrialRecord, task: Task) -> Figure:
    """The primary metric of ``task`` over the epochs of ``trial``."""
    name, epochs = task.metrics[0], of_training(trial)
    keys = [found for e in epochs for key in e.metrics if (found := split_metric(key)) and found[2] == name]
    lines = {}
    for dataset in sorted({d for _, d, _ in keys}):
        of_splits = [tuple(e.metrics.get(metric(s, dataset, name), math.nan) for e in epochs) for s in ("train", "val")]
        train, val = (series if any(map(math.isfinite, series)) else () for series in of_splits)
        lines[dataset] = (train, val)
    decisions = tuple(d for e in epochs for d in e.decisions)
    numbers = Curves(tuple(e.epoch for e in epochs), lines, decisions, name)
    title = f"{task.name.capitalize()}: {name} per epoch, training dashed, validation solid"
    caption = "Rings mark where a dataset begins to rest (z) or wakes (!)."
    return Figure(task.name, title, caption, numbers if lines else Missing(f"no {name} was recorded"))


def losses(log: Log) -> Boxes | Missing:
    series = {d: _finite(log.series("train", d, "total_loss")) for d in log.datasets}
    boxes = {d: box(values) for d, values in series.items() if values}
    return Boxes(boxes, log.loss_unit) if boxes else Missing("no training loss was recorded")


def correlation(log: Log) -> Correlation | Missing:
    """Over the epochs in which both datasets were validated."""
    series = {d: v for d in log.datasets if (v := log.series("val", d, "accuracy"))}
    if len(series) < 2:
        return Missing("a correlation needs two datasets")
    if len(log.epochs) < 3:
        return Missing(f"a correlation over {counted(len(log.epochs), 'epoch')} says nothing; three are needed")
    matrix = tuple(tuple(_pearson(a, b) for b in series.values()) for a in series.values())
    return Correlation(tuple(series), matrix, len(log.epochs))


def scatter(log: Log) -> Scatter | Missing:
    points = {}
    for d in log.datasets:
        pair = zip(log.epochs, log.series("train", d, "accuracy"), log.series("val", d, "accuracy"), strict=False)
        points[d] = tuple(p for p in pair if all(map(math.isfinite, p)))
    points = {d: p for d, p in points.items() if p}
    return Scatter(points) if points else Missing("no epoch has both training and validation accuracy")


def contrastive(log: Log) -> Histogram | Missing:
    """The bins are the same for all datasets, from the smallest to the largest loss."""
    series = {d: v for d in log.datasets if (v := _finite(log.series("train", d, "clip_loss")))}
    if not series:
        return Missing("no contrastive loss was recorded: its weight may be 0")
    edges = np.histogram_bin_edges(np.concatenate([np.array(v) for v in series.values()]), BINS)
    binned = {d: tuple(int(n) for n in np.histogram(v, edges)[0]) for d, v in series.items()}
    return Histogram(tuple(float(e) for e in edges), binned, log.loss_unit)


def box(values: tuple[float, ...]) -> Box:
    """Quartiles by linear interpolation."""
    quarter, median, three_quarters = (float(q) for q in np.percentile(values, [25, 50, 75]))
    reach = 1.5 * (three_quarters - quarter)
    within = [v for v in values if quarter - reach <= v <= three_quarters + reach]
    return Box(min(within), quarter, median, three_quarters, max(within), values)


def _finite(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(v for v in values if math.isfinite(v))


def _pearson(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    pairs = np.array([p for p in zip(one, other, strict=True) if all(map(math.isfinite, p))])
    if len(pairs) < 3 or not pairs.std(axis=0).all():
        return math.nan
    return float(np.corrcoef(pairs.T)[0, 1])
