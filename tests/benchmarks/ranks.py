"""Whether two ways to train the same configurations rank them alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scipy.stats import spearmanr

from raytune_planes.records import Goal

Epochs = Sequence[dict[str, float]]
"""Validation metrics after each epoch of a trial."""
Score = Callable[[Epochs], float]
"""What a trial is ranked by; larger is better."""


@dataclass(frozen=True)
class Agreement:
    """Of one way to train, beside another, over the same configurations."""

    correlation: float
    """Spearman's, of the ranks."""
    place: int
    """Of the one's best in the other's ranking; 1 for its best."""
    behind: float
    """By how much the other scores the one's best lower than its own best."""


def agreement(one: Sequence[float], other: Sequence[float]) -> Agreement:
    """Scores of the same configurations in the same order; of equal ones the first is the best, as in a study."""
    best = max(range(len(one)), key=one.__getitem__)
    place = 1 + sum(score > other[best] for score in other)
    return Agreement(float(spearmanr(one, other).statistic), place, max(other) - other[best])


def scores(trials: Sequence[Epochs], goal: Goal, floors: bool) -> list[float]:
    """Each trial's score at its best epoch, as a study ranks its trials. The first trial is the defaults.

    ``floors``: whether those of ``goal`` count that follow the defaults.
    """
    free = replace(goal, floors={}, relative={})
    settled = goal.with_references(best_epoch(trials[0], free)) if floors else free
    return [settled.score(best_epoch(epochs, settled)) for epochs in trials]


def best_epoch(epochs: Epochs, goal: Goal) -> dict[str, float]:
    """The metrics of the epoch that ``goal`` ranks highest."""
    return max(epochs, key=goal.score)
