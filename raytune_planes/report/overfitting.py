"""Training against validation of each dataset, epoch by epoch, and the test split where it was looked at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from raytune_planes.fold_metrics import course
from raytune_planes.records import EpochRecord, Goal, TrialRecord, metric, split_metric
from raytune_planes.report.confirmed import Interval, cell, read_confirmed
from raytune_planes.report.figure import Figure, Missing, Section, Table
from raytune_planes.report.formatting import shown, signed
from raytune_planes.report.intervals import of_difference, of_pictures
from raytune_planes.report.search import primary_metrics
from raytune_planes.tracking.final import read_final
from raytune_planes.tracking.gains import sample_of
from raytune_planes.tracking.reading import StudyFiles

HEADING = "Training, validation and test"
HOW = (
    "The gap is how much better the training pictures are answered than the validation pictures: training less "
    "validation, for a loss validation less training. Where it grows while validation gains no more, the training "
    "overfits. "
    "Training is measured while an epoch trains: on augmented pictures and with weights that still change, so that it "
    "can stand below validation, in early epochs above all; the gap tends to be too small."
)
INTERVALS = (
    "Intervals: 95 %, over pictures or scenes (Wilson 1927), of a gap by Newcombe (1998, method 10); they say nothing "
    "of other seeds."
)
HEADS = ("dataset", "metric", "training", "validation", "gap", "gap, last epoch", "test")


@dataclass(frozen=True)
class Course:
    """One dataset over the epochs of one training."""

    metric: str
    """Its primary one; ``loss`` where the training split has no other."""
    training: tuple[float, ...]
    """Per epoch, NaN where the dataset took no step; like ``validation``."""
    validation: tuple[float, ...]
    samples: tuple[tuple[int, int], ...]
    """Per epoch: of training and of validation, 0 where the records do not say it."""
    test: Interval | None = None
    """Of the same configuration, where the test split was looked at."""

    def gap(self, i: int) -> float:
        """At place ``i`` of the epochs: positive where training is better; NaN where one of the two is not measured."""
        gap = self.training[i] - self.validation[i]
        return -gap if self.metric == "loss" else gap

    def interval(self, i: int) -> tuple[float, float] | None:
        """Of validation."""
        return self._of(self.validation[i], self.samples[i][1])

    def gap_interval(self, i: int) -> tuple[float, float] | None:
        training, validation = self._of(self.training[i], self.samples[i][0]), self.interval(i)
        if training is None or validation is None:
            return None
        return of_difference(self.training[i], training, self.validation[i], validation)

    def _of(self, value: float, n: int) -> tuple[float, float] | None:
        return None if self.metric == "loss" else of_pictures(value, n)


@dataclass(frozen=True)
class Gaps:
    """One training."""

    epochs: tuple[int, ...]
    kept: int
    """The epoch whose weights are kept."""
    courses: Mapping[str, Course]
    """By dataset."""


def section(study: StudyFiles, trial: TrialRecord, name: str) -> Section:
    """Of ``trial``, called ``name``, and of the final training of the same configuration, where there is one."""
    final = read_final(study)
    long = next((t for t in final.trained if t.number == trial.number), None) if final else None
    shown_ones = [("overfitting", name, gaps(study, trial, study.start.goal, 0))]
    if final and long:
        found = gaps(study, long, final.goal, final.epochs)
        shown_ones.append(("overfitting-final", f"{name} at the long budget", found))
    figures, tables = [], []
    for file, whose, numbers in shown_ones:
        caption = "Dashed: training. Solid: validation, with its interval. Shaded: the gap."
        if isinstance(numbers, Gaps):
            tables.append(_table(numbers, whose))
            caption += f" The vertical line marks epoch {numbers.kept}, whose weights are kept."
            if any(c.test for c in numbers.courses.values()):
                caption += " Diamond: the test split, mean over seeds."
        figures.append(Figure(file, f"{HEADING} of {whose}", caption, numbers))
    return Section(HEADING, [HOW, INTERVALS], tables, figures)


def gaps(study: StudyFiles, trial: TrialRecord, goal: Goal, budget: int) -> Gaps | Missing:
    """Of each dataset that ``trial`` validated.

    Args:
        goal: which ranks the epochs.
        budget: of the long training that this is, 0 for a trial of the search: a look at the test split belongs to the
            budget that it trained with.
    """
    epochs, kept = course(trial), trial.best(goal)
    if not epochs or kept is None:
        return Missing("no epoch was finished")
    looked = read_confirmed(study.folder).get(trial.number)
    test = looked.metrics if looked and looked.epochs == budget else {}
    courses = {d: _course(epochs, d, key, test) for d, key in primary_metrics(study).items()}
    measured = {d: c for d, c in courses.items() if any(math.isfinite(c.gap(i)) for i in range(len(epochs)))}
    if not measured:
        return Missing("the records hold no metric of training and validation alike")
    best = max(epochs, key=lambda e: (goal.score(e.metrics), -e.epoch)) if any(e.fold for e in trial.epochs) else kept
    return Gaps(tuple(e.epoch for e in epochs), best.epoch, measured)


def _course(epochs: tuple[EpochRecord, ...], dataset: str, key: str, test: Mapping[str, Interval]) -> Course:
    parts = split_metric(key)
    assert parts is not None, "primary metrics have a split, a dataset and a name"
    name = parts[2] if any(metric("train", dataset, parts[2]) in e.metrics for e in epochs) else "loss"
    keys = metric("train", dataset, name), metric("val", dataset, name)
    training, validation = (tuple(e.metrics.get(k, math.nan) for e in epochs) for k in keys)
    samples = tuple((_count(keys[0], e), _count(keys[1], e)) for e in epochs)
    return Course(name, training, validation, samples, test.get(metric("test", dataset, name)))


def _count(key: str, epoch: EpochRecord) -> int:
    sample = sample_of(key, epoch.metrics)
    return sample.count if sample else 0


def _table(gaps: Gaps, whose: str) -> Table:
    at = gaps.epochs.index(gaps.kept)
    rows = []
    for dataset, c in gaps.courses.items():
        measured = [i for i in range(len(gaps.epochs)) if math.isfinite(c.gap(i))]
        values = shown(c.training[at]), _with(c.validation[at], c.interval(at), shown)
        last = f"{_gap(c, measured[-1])}, epoch {gaps.epochs[measured[-1]]}"
        test = cell(c.test) if c.test else "not looked at"
        rows.append((dataset, c.metric, *values, _gap(c, at), last, test))
    return Table((f"{whose}, epoch {gaps.kept}", *HEADS[1:]), tuple(rows))


def _gap(course: Course, i: int) -> str:
    return _with(course.gap(i), course.gap_interval(i), signed)


def _with(value: float, interval: tuple[float, float] | None, text: Callable[[float], str]) -> str:
    return f"{text(value)} [{text(interval[0])}, {text(interval[1])}]" if interval else text(value)
