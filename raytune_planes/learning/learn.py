"""From earlier studies to what a new one takes over: a portfolio of configurations for its first trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from raytune_planes.learning import portfolio
from raytune_planes.learning.coding import distances, fitted, rows
from raytune_planes.learning.ranking import common_goal, predictions, quantiles
from raytune_planes.learning.similarity import Present, is_same_data, weigh
from raytune_planes.records import Goal, TrialRecord, rank
from raytune_planes.settings import Value
from raytune_planes.tracking.base import DataDescription
from raytune_planes.tracking.learnt import NOTHING, Learnt, Lesson, Source

__all__ = ["Earlier", "Present", "learn"]

MOST_STUDIES = 12
"""The most alike of them count."""
LEAST_OF_PACKAGED = 0.1
"""Weight of a study that comes with the package: nobody chose it for these pictures."""
GOOD, LEAST_GOOD, MOST_GOOD = 0.15, 2, 8
"""Share of a study's trials that are candidates, and how many at least and at most."""
SURE = 1.645
"""Standard errors by which the studies must agree beyond chance: 95 %, one-sided."""


@dataclass(frozen=True)
class Earlier:
    """A finished study, as its records tell."""

    name: str
    study_id: str
    trials: tuple[TrialRecord, ...]
    data: Mapping[str, DataDescription] = field(default_factory=dict)
    alone: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By dataset: what it reached when trained alone."""
    space: str = ""
    """Name of its search space."""


@dataclass(frozen=True)
class _Known:
    """An earlier study in terms of the present space."""

    of: Earlier
    weight: float
    numbers: tuple[int, ...]
    values: tuple[Mapping[str, Value], ...]
    rows_ND: np.ndarray
    quantiles_N: np.ndarray
    good: tuple[int, ...]
    """Indexes of the trials to choose from: its best, of those that are complete and keep every floor."""


def learn(
    present: Present, earlier: Sequence[Earlier], first: int = 1, packaged: Sequence[Earlier] = ()
) -> tuple[Learnt, tuple[str, ...]]:
    """What the present study takes over, and a sentence for each study that it takes nothing from.

    Args:
        first: number of the trial that takes the portfolio's first configuration.
        packaged: studies that count where none of ``earlier`` resembles the present one, for fewer trials.
    """
    left = present.trials - first + 1
    known, unlike = _compared(present, earlier)
    if known or not packaged:
        learnt, why = _taken(present, known, portfolio.size(len(known), left), first)
        return learnt, (*unlike, *why)
    known = [k for k in _compared(present, packaged)[0] if k.weight >= LEAST_OF_PACKAGED]
    learnt, why = _taken(present, known, portfolio.size_of_packaged(len(known), left), first)
    if not known:
        why = (f"none of the {len(packaged)} studies that come with this package resembles this one",)
    return replace(learnt, packaged=bool(learnt.portfolio)), (*unlike, *why)


def _compared(present: Present, earlier: Sequence[Earlier]) -> tuple[list[_Known], list[str]]:
    """The studies most alike, and a sentence for each that is not compared."""
    known, unlike = [], []
    for study in earlier:
        goal = common_goal(present.space.goal, study.trials, study.alone)
        order = quantiles(study.trials, goal) if goal.objectives else {}
        weight, why = weigh(present, study.data, study.trials, len(order), goal)
        if why:
            unlike.append(f"study {study.name} is left out: {why}")
        else:
            known.append(_in_terms_of(present, study, weight, order, goal))
    return sorted(known, key=lambda k: -k.weight)[:MOST_STUDIES], unlike


def _taken(present: Present, known: Sequence[_Known], count: int, first: int) -> tuple[Learnt, tuple[str, ...]]:
    """A portfolio of ``count`` configurations, or why there is none."""
    if not known or not count:
        return NOTHING, ()
    quantile_MJ = _predicted(known)
    if not any(is_same_data(present.data, k.of.data) for k in known) and (why := _chance(known, quantile_MJ)):
        return NOTHING, (why,)
    candidates = [(j, n) for j, k in enumerate(known) for n in k.good]
    if not candidates:
        return NOTHING, (f"nothing is learnt from {_names(known)}: no complete trial beat the defaults there",)
    chosen = _portfolio(present, known, candidates, quantile_MJ, count)
    sources = tuple(Source(k.of.name, k.of.study_id, round(k.weight, 4), len(k.numbers)) for k in known)
    return Learnt(sources, tuple(_lesson(known[j], n) for j, n in (candidates[i] for i in chosen)), first), ()


def _in_terms_of(present: Present, study: Earlier, weight: float, order: Mapping[int, float], goal: Goal) -> _Known:
    ranked = sorted((t for t in study.trials if t.number in order), key=lambda t: order[t.number])
    values = tuple(fitted(present.space, t.drawn) for t in ranked)
    defaults, most = present.space.first(), min(MOST_GOOD, max(LEAST_GOOD, round(GOOD * len(ranked))))
    best = [n for n, t in enumerate(ranked[:most]) if t.end.is_complete and t.number and rank(t, goal)[0]]
    return _Known(
        study,
        weight,
        tuple(t.number for t in ranked),
        values,
        rows(present.space, values),
        np.array([order[t.number] for t in ranked]),
        tuple(n for n in best if not values[n].items() <= defaults.items()),  # it says more than the defaults
    )


def _predicted(known: Sequence[_Known]) -> np.ndarray:
    """The quantile of every trial of all studies, in their order, in each of them, [M, J]."""
    all_MD = np.concatenate([k.rows_ND for k in known])
    return np.stack([predictions(k.rows_ND, k.quantiles_N, all_MD) for k in known], axis=1)


def _starts(known: Sequence[_Known]) -> np.ndarray:
    """Rows at which each study's trials begin in ``_predicted``, and the number of all."""
    return np.cumsum([0, *(len(k.numbers) for k in known)])


def _chance(known: Sequence[_Known], quantile_MJ: np.ndarray) -> str:
    """Why nothing is learnt, where what did well in one study says nothing about the others; else empty.

    The mean correlation between the quantiles of each study's trials and those that the other studies predict.
    """
    if len(known) < 2:
        return ""
    starts = _starts(known)
    agreed, trials = 0.0, 0
    for j, k in enumerate(known):
        others = [i for i in range(len(known)) if i != j]
        guess_N = quantile_MJ[starts[j] : starts[j + 1], others] @ np.array([known[i].weight for i in others])
        if np.ptp(guess_N) > 0:
            agreed += len(k.numbers) * float(np.corrcoef(guess_N, k.quantiles_N)[0, 1])
        trials += len(k.numbers)
    if agreed / trials >= SURE / math.sqrt(trials):
        return ""
    return f"nothing is learnt from {_names(known)}: what did well in one of them did not in the others"


def _names(known: Sequence[_Known]) -> str:
    return ", ".join(k.of.name for k in known)


def _portfolio(
    present: Present,
    known: Sequence[_Known],
    candidates: Sequence[tuple[int, int]],
    quantile_MJ: np.ndarray,
    count: int,
) -> list[int]:
    starts = _starts(known)
    rows_CD = np.stack([known[j].rows_ND[n] for j, n in candidates])
    quantile_CJ = quantile_MJ[[starts[j] + n for j, n in candidates]]
    for c, (j, n) in enumerate(candidates):
        quantile_CJ[c, j] = known[j].quantiles_N[n]  # measured, not predicted
    weight_J = np.array([k.weight for k in known])
    return portfolio.choose(quantile_CJ, weight_J, distances(present.space, rows_CD, rows_CD), count)


def _lesson(known: _Known, trial: int) -> Lesson:
    return Lesson(known.of.name, known.numbers[trial], dict(known.values[trial]))
