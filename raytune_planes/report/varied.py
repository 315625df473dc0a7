"""The settings that a study varied, and their gains: the numbers of parallel coordinates and of slices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raytune_planes.errors import UserError
from raytune_planes.pareto import choose
from raytune_planes.records import TrialRecord
from raytune_planes.report.figure import Missing
from raytune_planes.report.search import Result, primary_metrics, results, value_label
from raytune_planes.space import Dimension
from raytune_planes.space.dimension import show
from raytune_planes.space.file import read
from raytune_planes.tracking.reading import StudyFiles

AXES, SLICES = 9, 12
"""Most settings that one figure shows."""


@dataclass(frozen=True)
class Axis:
    """One varied setting and where its values lie on it."""

    path: str
    log: bool
    low: float
    high: float
    choices: tuple[str, ...] = ()
    """Of a setting without order: its values sit at 0, 1, ... in this order."""
    whole: bool = False
    """Only whole numbers."""

    def height(self, at: float) -> float:
        """0 for the lowest value, 1 for the highest; one half on an axis of a single value."""
        if self.high <= self.low:
            return 0.5
        if self.log:
            return math.log(at / self.low) / math.log(self.high / self.low)
        return (at - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Lines:
    """Parallel coordinates: one line a trial."""

    axes: tuple[Axis, ...]
    """Those that most trials drew come first."""
    lines: tuple[tuple[Result, tuple[float, ...]], ...]
    """Position on each axis, NaN where the setting was not drawn."""
    label: str
    """What the lines' colour, ``Result.value``, is."""
    best: int | None
    """Number of the best complete trial that keeps every floor."""
    left_out: int


@dataclass(frozen=True)
class Slices:
    """Each dataset's result against each setting."""

    axes: tuple[Axis, ...]
    metrics: Mapping[str, str]
    """Dataset -> its metric."""
    points: Mapping[str, tuple[tuple[float, Result], ...]]
    """Path -> (position, trial); weights and shares come first, settings that no trial drew are left out."""
    left_out: int


def drawn(study: StudyFiles, trial: TrialRecord) -> dict[str, Any]:
    """The varied settings of a trial; of the defaults' trial, which may draw none, those that the others draw."""
    return dict(trial.drawn) or {p: trial.config[p] for p in study.start.searched if p in trial.config}


def axes(study: StudyFiles) -> tuple[Axis, ...]:
    """One per varied setting, reaching over the searched range and every value that was tried."""
    try:
        known = {d.path: d for d in read(study.start.space_text, study.start.space)[0].search}
    except UserError:
        known = {}
    tried = [drawn(study, t) for t in study.trials]
    return tuple(_axis(p, known.get(p), [v[p] for v in tried if p in v]) for p in study.start.searched)


def parallel(study: StudyFiles) -> Lines | Missing:
    measured = _measured(study)
    if len(measured) < 2:
        return Missing("fewer than two trials have a result")
    values = {t.number: drawn(study, t) for t in study.trials}
    shown = sorted(axes(study), key=lambda a: -sum(a.path in values[r.number] for r in measured))
    kept = tuple(shown[:AXES])
    lines = tuple((r, tuple(place(a, values[r.number]) for a in kept)) for r in measured)
    choice = choose(study.trials, study.start.goal)
    best = choice.trial.number if choice and choice.feasible else None
    return Lines(kept, lines, value_label(study.start.goal), best, len(shown) - len(kept))


def slices(study: StudyFiles) -> Slices | Missing:
    measured, metrics = _measured(study), primary_metrics(study)
    if len(measured) < 2:
        return Missing("fewer than two trials have a result")
    shown = axes(study)
    values = {t.number: drawn(study, t) for t in study.trials}
    points = {}
    for axis in shown:
        placed = [(place(axis, values[r.number]), r) for r in measured]
        points[axis.path] = tuple((at, r) for at, r in placed if math.isfinite(at))
    with_points = [a for a in shown if points[a.path]]
    kept = sorted(with_points, key=lambda a: not a.path.endswith((".weight", ".share")))[:SLICES]
    if not kept:
        return Missing("no trial drew a setting")
    return Slices(tuple(kept), metrics, {a.path: points[a.path] for a in kept}, len(shown) - len(kept))


def place(axis: Axis, values: Mapping[str, Any]) -> float:
    """Where a trial with these settings lies on the axis; NaN where it did not draw the setting, or has no number in
    it (``optim.backbone_factor`` may be left to the encoder)."""
    value = values.get(axis.path)
    if axis.choices and axis.path in values:
        return float(axis.choices.index(show(value)))
    return math.nan if value is None else float(value)


def _measured(study: StudyFiles) -> list[Result]:
    return [r for r in results(study) if math.isfinite(r.value)]


def _axis(path: str, dimension: Dimension | None, values: list[Any]) -> Axis:
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if dimension is not None and dimension.kind != "choice":
        ends = [dimension.low, dimension.high, *numbers]
        return Axis(path, dimension.log, min(ends), max(ends), whole=dimension.kind == "int")
    if dimension is None and numbers and len(numbers) == len(values):
        return Axis(path, False, min(numbers), max(numbers), whole=all(isinstance(v, int) for v in values))
    options = [*(dimension.choices if dimension else ()), *values]
    texts = tuple(dict.fromkeys(show(v) for v in options))
    return Axis(path, False, 0.0, max(1.0, len(texts) - 1.0), texts)
