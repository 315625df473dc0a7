"""What a report's script draws, as JSON: trials, and under the names of figures what takes their place on a screen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from raytune_planes.pareto import choose
from raytune_planes.printing import printable
from raytune_planes.records import Goal
from raytune_planes.report import search, varied
from raytune_planes.report.data_curve import Curve
from raytune_planes.report.drawing.style import colour, metric_name
from raytune_planes.report.figure import Missing
from raytune_planes.report.formatting import as_json_number, value_text
from raytune_planes.report.overfitting import Gaps
from raytune_planes.report.search import Result
from raytune_planes.report.varied import Axis
from raytune_planes.tracking.reading import StudyFiles


def of_search(study: StudyFiles) -> dict[str, Any]:
    """Trials, and the figures ``history``, ``front`` and ``parallel``, those that are not missing."""
    goal, results = study.start.goal, search.results(study)
    if not results:
        return {}
    choice = choose(study.trials, goal)
    axes = [*varied.axes(study), *_objectives(goal, results)]
    keys = list(dict.fromkeys([*(o.metric for o in goal.objectives), *goal.floors]))
    trials = []
    for r, trial in zip(results, study.trials, strict=True):
        drawn = varied.drawn(study, trial)
        placed = [varied.place(axis, {**drawn, **r.metrics}) for axis in axes]
        trials.append({
            "number": r.number,
            "end": str(r.end),
            "reason": printable(trial.reason),
            "best": choice is not None and choice.trial.number == r.number,
            "feasible": r.feasible and bool(r.metrics),
            "value": as_json_number(r.value),
            "metrics": {metric_name(key): as_json_number(r.metrics.get(key, math.nan)) for key in keys},
            "settings": {printable(p): printable(value_text(v)) for p, v in drawn.items()},
            "heights": [as_json_number(a.height(at)) for a, at in zip(axes, placed, strict=True)],
        })  # fmt: skip
    data = {"trials": trials, "history": _history(study), "front": _front(study)}
    if len([r for r in results if math.isfinite(r.value)]) > 1:
        data["parallel"] = {"kind": "parallel", "label": search.value_label(goal), "axes": [_axis(a) for a in axes]}
    return {name: drawn for name, drawn in data.items() if drawn}


def of_gaps(gaps: Gaps) -> dict[str, Any]:
    """The figure of training, validation and test over epochs."""
    panels = [
        {
            "title": f"{dataset} {course.metric.replace('_', ' ')}",
            "colour": colour(dataset),
            "training": [as_json_number(v) for v in course.training],
            "validation": [as_json_number(v) for v in course.validation],
            "bands": [course.interval(i) for i in range(len(gaps.epochs))],
            "gaps": [as_json_number(course.gap(i)) for i in range(len(gaps.epochs))],
            "test": {"value": course.test.mean, "low": course.test.low, "high": course.test.high}
            if course.test
            else None,
        }
        for dataset, course in gaps.courses.items()
    ]
    return {"kind": "gaps", "epochs": gaps.epochs, "kept": gaps.kept, "panels": panels}


def of_curve(curve: Curve) -> dict[str, Any]:
    """The figure of a metric over the share of the training pictures."""
    panels = [
        {
            "title": f"{panel.dataset} {panel.metric.replace('_', ' ')}",
            "colour": colour(panel.dataset),
            "values": [as_json_number(v) for v in panel.values],
            "bands": panel.intervals,
            "pictures": panel.pictures,
        }
        for panel in curve.panels
    ]
    return {"kind": "shares", "shares": curve.shares, "names": curve.names, "panels": panels}


def _history(study: StudyFiles) -> dict[str, Any] | None:
    found = search.history(study)
    if isinstance(found, Missing):
        return None
    order, best = [r.number for r in found.results], [as_json_number(v) for v in found.best]
    return {"kind": "history", "label": found.label, "order": order, "best": best}


def _front(study: StudyFiles) -> dict[str, Any] | None:
    found = search.front(study)
    if isinstance(found, Missing):
        return None
    panels = [
        {
            "x": metric_name(p.x),
            "y": metric_name(p.y),
            "floors": p.floors,
            "line": [r.number for r, *_ in sorted(p.points, key=lambda point: point[1]) if r.number in found.front]
            if p.is_traded
            else [],
        }
        for p in found.panels
    ]
    return {"kind": "front", "panels": panels}


def _objectives(goal: Goal, results: Sequence[Result]) -> list[Axis]:
    """Each objective that was measured, as an axis after those of the settings."""
    axes = []
    for objective in goal.objectives:
        values = [v for r in results if math.isfinite(v := r.metrics.get(objective.metric, math.nan))]
        axes += [Axis(objective.metric, False, min(values), max(values))] if values else []
    return axes


def _axis(axis: Axis) -> dict[str, Any]:
    ends = {"low": axis.low, "high": axis.high, "log": axis.log, "whole": axis.whole}
    choices = [{"height": axis.height(i), "text": printable(text)} for i, text in enumerate(axis.choices)]
    return {"name": printable(axis.path.removeprefix("datasets.").removeprefix("val/")), "choices": choices, **ends}
