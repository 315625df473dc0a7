"""How much each setting mattered to each dataset, by functional analysis of variance over a study's records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from raytune_planes.printing import counted
from raytune_planes.records import End, TrialRecord
from raytune_planes.report.figure import Missing
from raytune_planes.report.search import Importance, primary_metrics
from raytune_planes.report.varied import Axis, axes
from raytune_planes.space.dimension import show
from raytune_planes.tracking.reading import StudyFiles
from raytune_planes.tuning.samplers import quiet

LEAST = 10
"""Trials with a result; fewer say nothing about several settings."""


def importance(study: StudyFiles) -> Importance | Missing:
    """Shares of the spread of each dataset's metric (fANOVA, Hutter et al. 2014, with Optuna's random forest).

    Over every trial that has a result and did not fail; a pruned one counts with the best it had reached. A setting
    that a trial did not draw counts with the value that its configuration holds, so that every trial has all of them.
    """
    goal = study.start.goal
    trials = [(t, t.best(goal)) for t in study.trials if t.end is not End.FAILED]
    measured = [(t, e.metrics) for t, e in trials if e is not None]
    if len(measured) < LEAST:
        return Missing(f"{counted(len(measured), 'trial')} with a result; importances of fewer than {LEAST} are chance")
    varied = [a for a in axes(study) if len({show(t.config.get(a.path)) for t, _ in measured}) > 1]
    if not varied:
        return Missing("no setting varied")
    shares = {}
    for key in primary_metrics(study).values():
        pairs = [(t, m[key]) for t, m in measured if math.isfinite(m.get(key, math.nan))]
        if len(pairs) >= LEAST and len({value for _, value in pairs}) > 1:
            shares[key] = _fanova(varied, pairs)
    return Importance(shares, len(measured)) if shares else Missing("no dataset's metric varied")


def _fanova(varied: Sequence[Axis], pairs: Sequence[tuple[TrialRecord, float]]) -> dict[str, float]:
    import optuna

    with quiet():
        kinds = {a.path: _distribution(a, [t.config[a.path] for t, _ in pairs]) for a in varied}
        study = optuna.create_study(storage=optuna.storages.InMemoryStorage(), direction="maximize")
        for trial, value in pairs:
            values = {a.path: _value(a, trial.config, kinds[a.path]) for a in varied}
            study.add_trial(optuna.trial.create_trial(params=values, distributions=kinds, value=value))
        judge = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return dict(optuna.importance.get_param_importances(study, evaluator=judge))


def _distribution(axis: Axis, tried: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if axis.choices:
        return CategoricalDistribution(sorted({*axis.choices, *map(show, tried)}))
    numbers = [float(value) for value in tried if value is not None]
    low, high = min([axis.low, *numbers]), max([axis.high, *numbers])
    if len(numbers) < len(tried):
        low = _below(low, high, log=axis.log)
    return FloatDistribution(low, high, log=axis.log and low > 0)


def _value(axis: Axis, config: Mapping[str, Any], kind: Any) -> Any:
    """A setting that has no number in a trial stands below all of them, where the trees of the forest can part it."""
    value = config[axis.path]
    if axis.choices:
        return show(value)
    return kind.low if value is None else float(value)


def _below(low: float, high: float, *, log: bool) -> float:
    """A tenth of the range below it."""
    if log and low > 0:
        return low * (low / high) ** 0.1 if high > low else low / 2
    return low - (0.1 * (high - low) or 1.0)
