"""How the trials of one finished study rank, judged by the goal of another, and what a configuration would rank."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from raytune_planes.records import End, Goal, TrialRecord, rank

TREES, LEAST_IN_LEAF = 60, 2


def common_goal(goal: Goal, trials: Sequence[TrialRecord], alone: Mapping[str, Mapping[str, float]]) -> Goal:
    """``goal`` as far as the study with ``trials`` measured it, with floors after that study's own references.

    Args:
        alone: of that study, by dataset: what it reached when trained alone.
    """
    results = [epoch.metrics for t in trials if t.end.is_complete and (epoch := t.best(goal))]
    keys = results[0] if results else {}
    measured = {key for key in keys if all(math.isfinite(m.get(key, math.nan)) for m in results)}
    floors = {key: floor for key, floor in goal.floors.items() if key in measured and key not in goal.relative}
    common = Goal(
        tuple(o for o in goal.objectives if o.metric in measured),
        floors,
        {key: floor for key, floor in goal.relative.items() if key in measured},
    )
    first = next((t for t in trials if t.number == 0 and t.end.is_complete), None)
    epoch = first.best(common) if first and common.objectives else None
    return replace(common.with_references(dict(epoch.metrics) if epoch else {}, alone), relative={})


def quantiles(trials: Sequence[TrialRecord], goal: Goal) -> dict[int, float]:
    """By number, 0 for the best and 1 for the last of the trials that have a result.

    Complete trials come first, as ``best`` orders them: those that keep every floor, then the mean of the objectives.
    Pruned and paused ones follow; of these, one that was let train on more pictures was better at the earlier rungs.
    """
    known = [t for t in trials if (t.end.is_complete or t.end in (End.PRUNED, End.PAUSED)) and _has_result(t, goal)]
    ordered = sorted(known, key=lambda t: (t.end.is_complete, *_stood(t, goal)), reverse=True)
    return {t.number: place / max(1, len(ordered) - 1) for place, t in enumerate(ordered)}


def predictions(rows_ND: np.ndarray, quantiles_N: np.ndarray, of_MD: np.ndarray) -> np.ndarray:
    """The quantile that each configuration of ``of_MD`` would have had in a study, [M]: by extremely randomised trees
    (Geurts et al. 2006), which need no scale and find out which settings matter."""
    from sklearn.ensemble import ExtraTreesRegressor

    model = ExtraTreesRegressor(TREES, min_samples_leaf=LEAST_IN_LEAF, random_state=0)
    return np.asarray(model.fit(rows_ND, quantiles_N).predict(of_MD))


def _stood(trial: TrialRecord, goal: Goal) -> tuple[float, ...]:
    if trial.end.is_complete:
        return tuple(map(float, rank(trial, goal)))
    return (float(trial.epochs[-1].samples), goal.score(trial.epochs[-1].metrics), -float(trial.number))


def _has_result(trial: TrialRecord, goal: Goal) -> bool:
    epoch = trial.best(goal)
    return epoch is not None and math.isfinite(goal.score(epoch.metrics))
