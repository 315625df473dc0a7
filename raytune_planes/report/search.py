"""The numbers behind a study's own figures: its history, its front, the gain of each setting, and when trials ran."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from raytune_planes.catalog import primary_metric
from raytune_planes.fold_metrics import plain
from raytune_planes.pareto import choose
from raytune_planes.records import Action, End, Goal, TrialRecord, metric
from raytune_planes.report.figure import Missing
from raytune_planes.tracking.gains import defaults_trial
from raytune_planes.tracking.reading import StudyFiles

PANELS = 3
"""Most pairs of metrics that one figure of the front shows."""


@dataclass(frozen=True)
class Result:
    """A trial at its best epoch."""

    number: int
    end: End
    metrics: Mapping[str, float]
    value: float
    """Mean of the objectives, turned so that larger is better; NaN without a measured one."""
    feasible: bool
    """Keeps every floor."""


@dataclass(frozen=True)
class History:
    """Results in the order in which trials ended."""

    label: str
    """What ``value`` is."""
    results: tuple[Result, ...]
    best: tuple[float, ...]
    """The highest value of a complete trial that keeps every floor so far; NaN before there is one."""


@dataclass(frozen=True)
class Panel:
    """Two metrics of every trial that has both."""

    x: str
    y: str
    points: tuple[tuple[Result, float, float], ...]
    floors: tuple[float | None, float | None]
    """Of x and of y."""
    is_traded: bool
    """Whether y is an objective as x is, so that the front is a line here."""

    @property
    def floors_by_metric(self) -> dict[str, float]:
        """Of the two metrics, those that have a floor."""
        named = zip((self.x, self.y), self.floors, strict=True)
        return {key: floor for key, floor in named if floor is not None}


@dataclass(frozen=True)
class Front:
    """The first objective against every other one and against the metrics with floors."""

    panels: tuple[Panel, ...]
    front: tuple[int, ...]
    """Numbers of the trials that no other one that keeps the floors beats in all objectives."""
    best: int | None
    knee: int | None
    defaults: int | None


@dataclass(frozen=True)
class Span:
    """One trial in time, in minutes since the study's start."""

    number: int
    start: float
    stop: float
    end: End
    epochs: tuple[float, ...]
    """When each of its epochs ended."""
    changes: tuple[tuple[float, str, Action], ...]
    """When which dataset was put to rest or woken."""


@dataclass(frozen=True)
class Timeline:
    spans: tuple[Span, ...]
    left_out: int
    """Earlier trials for which there is no room."""


@dataclass(frozen=True)
class Importance:
    """Share of each setting in the spread of each metric over the trials, by fANOVA (Hutter et al. 2014)."""

    shares: Mapping[str, Mapping[str, float]]
    """Metric -> dotted path -> share; the shares of a metric sum to 1."""
    trials: int


def results(study: StudyFiles) -> tuple[Result, ...]:
    """Of every trial, by number; one that never finished an epoch has no metrics."""
    return tuple(_result(t, study.start.goal) for t in study.trials)


def history(study: StudyFiles) -> History | Missing:
    goal = study.start.goal
    if not study.trials:
        return Missing("no trial has started")
    ended = [t for t in sorted(study.trials, key=lambda t: (t.ended_ms, t.number)) if t.end is not End.RUNNING]
    results = tuple(_result(t, goal) for t in ended)
    if not results:
        return Missing("no trial has ended yet")
    best, line = math.nan, []
    for r in results:
        if r.end.is_complete and r.feasible and math.isfinite(r.value):
            best = r.value if math.isnan(best) else max(best, r.value)
        line.append(best)
    return History(value_label(goal), results, tuple(line))


def value_label(goal: Goal) -> str:
    """What a trial's value is, for an axis."""
    names = [("" if o.mode == "max" else "-") + o.metric.removeprefix("val/") for o in goal.objectives]
    return names[0] if len(names) == 1 else f"mean of {' and '.join(names)}"


def front(study: StudyFiles) -> Front | Missing:
    goal = study.start.goal
    objectives = [o.metric for o in goal.objectives]
    x, others = objectives[0], [m for m in dict.fromkeys([*objectives[1:], *goal.floors]) if m != objectives[0]]
    if not others:
        return Missing("the study has one objective and no floor, so there is nothing to trade")
    panels = [
        Panel(x, y, tuple(_pairs(study, x, y)), (goal.floors.get(x), goal.floors.get(y)), y in objectives)
        for y in others
    ]
    panels = [p for p in panels if p.points]
    if not panels:
        return Missing("no trial has finished an epoch")
    choice, first = choose(study.trials, goal), defaults_trial(study)
    return Front(
        tuple(panels[:PANELS]),
        tuple(t.number for t in choice.front) if choice else (),
        choice.trial.number if choice and choice.feasible else None,
        choice.knee.number if choice and choice.knee else None,
        first.number if first else None,
    )


def timeline(study: StudyFiles, most: int = 40) -> Timeline | Missing:
    """The latest ``most`` trials. A running one extends to the study's latest record."""
    if not study.trials:
        return Missing("no trial has started")
    times_ms = [e.time_ms for t in study.trials for e in t.epochs] + [t.ended_ms for t in study.trials]
    now = max([*times_ms, *(t.started_ms for t in study.trials), study.end.ended_ms if study.end else 0])
    spans = [_span(t, study.start.started_ms, now) for t in study.trials]
    return Timeline(tuple(spans[-most:]), max(0, len(spans) - most))


def primary_metrics(study: StudyFiles) -> dict[str, str]:
    """Dataset -> the validation metric that it is judged by, for the datasets of the study."""
    readers: dict[str, str] = {}
    for trial in study.trials[:1]:
        readers = {d: str(trial.config.get(f"datasets.{d}.reader") or "") for d in study.start.data}
    measured = {key for t in study.trials for e in t.epochs[:1] for key in plain(e)}
    named = {d: metric("val", d, primary_metric(d, readers.get(d, ""))) for d in sorted(study.start.data)}
    return {d: key for d, key in named.items() if key in measured}


def _result(trial: TrialRecord, goal: Goal) -> Result:
    epoch = trial.best(goal)
    metrics = dict(epoch.metrics) if epoch else {}
    return Result(trial.number, trial.end, metrics, goal.value(metrics), goal.feasible(metrics))


def _pairs(study: StudyFiles, x: str, y: str) -> Iterator[tuple[Result, float, float]]:
    for r in results(study):
        pair = r.metrics.get(x, math.nan), r.metrics.get(y, math.nan)
        if all(map(math.isfinite, pair)):
            yield r, *pair


def _span(trial: TrialRecord, zero_ms: int, now_ms: int) -> Span:
    def minutes(ms: int) -> float:
        return (ms - zero_ms) / 60_000

    changes = [(minutes(e.time_ms), d.dataset, d.action) for e in trial.epochs for d in e.decisions]
    stop = trial.ended_ms or (trial.epochs[-1].time_ms if trial.end is not End.RUNNING and trial.epochs else now_ms)
    epochs = tuple(minutes(e.time_ms) for e in trial.epochs)
    return Span(trial.number, minutes(trial.started_ms), minutes(stop), trial.end, epochs, tuple(changes))
