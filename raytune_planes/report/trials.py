"""The table of a study's trials: objectives and floors first, then the other metrics and the settings of each."""

from __future__ import annotations

import math

from raytune_planes.pareto import choose
from raytune_planes.records import EpochRecord, Goal, TrialRecord
from raytune_planes.report import varied
from raytune_planes.report.drawing.style import metric_name
from raytune_planes.report.figure import Trials
from raytune_planes.report.formatting import shown, value_text
from raytune_planes.report.search import value_label
from raytune_planes.tracking.costs import trained_for
from raytune_planes.tracking.gains import is_quality
from raytune_planes.tracking.reading import StudyFiles


def trials_table(study: StudyFiles) -> Trials:
    """A row for each trial, at its best epoch.

    Ends and reasons follow the objectives and floors; then come the columns that a page folds: how long the trial ran,
    its other validation metrics that grow with quality, and the settings that the study varied.
    """
    goal = study.start.goal
    results = [(t, t.best(goal)) for t in study.trials]
    named = list(dict.fromkeys([*(o.metric for o in goal.objectives), *goal.floors]))
    several = len(goal.objectives) > 1
    others = sorted({key for _, e in results if e for key in e.metrics if is_quality(key)} - {*named})
    paths = [axis.path for axis in varied.axes(study)]
    first = (
        "trial",
        *([value_label(goal)] if several else []),
        *(f"{metric_name(key)} ({_role(goal, key)})" for key in named),
        *(["keeps floors"] if goal.floors else []),
        "end",
        "why",
    )
    rows = []
    for trial, epoch in results:
        metrics, drawn = epoch.metrics if epoch else {}, varied.drawn(study, trial)
        row = [str(trial.number), *([shown(goal.value(metrics))] if several else [])]
        row += [shown(metrics.get(key, math.nan)) for key in named]
        row += [("yes" if goal.feasible(metrics) else "no") if epoch else "-"] if goal.floors else []
        row += [str(trial.end), trial.reason or "-", *_length(trial, epoch)]
        row += [shown(metrics.get(key, math.nan)) for key in others]
        rows.append((*row, *(value_text(drawn[path]) if path in drawn else "-" for path in paths)))
    choice = choose(study.trials, goal)
    header = (*first, "best epoch", "epochs", "minutes", *map(metric_name, others), *paths)
    best = choice.trial.number if choice else None
    ends = tuple(str(trial.end) for trial in study.trials)
    return Trials(header, tuple(rows), ends=ends, best=best, first_columns=len(first))


def _role(goal: Goal, key: str) -> str:
    roles = ["objective"] if key in {o.metric for o in goal.objectives} else []
    return ", ".join([*roles, *([f"floor {goal.floors[key]:.4g}"] if key in goal.floors else [])])


def _length(trial: TrialRecord, epoch: EpochRecord | None) -> tuple[str, str, str]:
    """Its best epoch, its epochs, and the minutes that they took."""
    minutes = trained_for(trial) / 60
    return str(epoch.epoch) if epoch else "-", str(len(trial.epochs)), f"{minutes:.1f}" if trial.epochs else "-"
