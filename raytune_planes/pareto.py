"""What several objectives leave to choose from: the front, its knee, and the trial to take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raytune_planes.errors import UserError, did_you_mean
from raytune_planes.printing import counted
from raytune_planes.records import HIGHER_IS_BETTER, Goal, TrialRecord, best_trial, split_metric

Vector = Sequence[float]
"""One number per objective, larger is better."""


@dataclass(frozen=True)
class Choice:
    """The trial to take, and what was beside it."""

    trial: TrialRecord
    reason: str
    """The reason, as a message; it states when no trial keeps the floors."""
    feasible: bool
    shortfalls: Mapping[str, float]
    """Floor -> by how much it is missed; only those that are."""
    front: tuple[TrialRecord, ...]
    """Trials that no other beats in every objective, best in the first objective first; empty when none is feasible."""
    knee: TrialRecord | None


def choose(trials: Iterable[TrialRecord], goal: Goal, prefer: str | None = None) -> Choice | None:
    """The best complete trial, or the one best in the metric ``prefer``, among those that keep every floor.

    When none keeps them: the nearest, with its shortfall. None when no trial is complete.

    Args:
        trials: Of one study.
        goal: Its objectives and floors.
        prefer: A validation metric, such as ``val/fgvc/accuracy``; None for the goal's score.

    Raises:
        UserError: no trial has the metric ``prefer``.
    """
    complete = [t for t in trials if t.end.is_complete and t.epochs and _is_measured(t, goal)]
    if not complete:
        return None
    front_trials = front(complete, goal)
    if not front_trials:
        nearest = best_trial(complete, goal)  # its score weighs the shortfall ten times as much as any gain
        assert nearest is not None
        missed = {k: v for k, v in goal.shortfalls(_metrics(nearest, goal)).items() if v > 0}
        misses = ", ".join(f"{metric} by {by:.4f}" for metric, by in missed.items())
        return Choice(nearest, f"no trial keeps every floor; the nearest misses {misses}", False, missed, (), None)
    feasible = [t for t in complete if not _shortfall(t, goal)]
    if prefer is None:
        trial = best_trial(feasible, goal)
        assert trial is not None
        reason = "highest mean of the objectives" if len(goal.objectives) > 1 else f"best {goal.objectives[0].metric}"
    else:
        trial, reason = _preferred(feasible, goal, prefer), f"best {prefer}"
    kept = (
        f" among the trials that keep every floor ({len(feasible)} of {counted(len(complete), 'complete trial')})"
        if goal.floors
        else ""
    )
    return Choice(trial, reason + kept, True, {}, front_trials, knee(front_trials, goal))


def front(trials: Iterable[TrialRecord], goal: Goal) -> tuple[TrialRecord, ...]:
    """The complete trials that keep every floor and that no other such trial dominates."""
    feasible = [
        t for t in trials if t.end.is_complete and t.epochs and _is_measured(t, goal) and not _shortfall(t, goal)
    ]
    vectors = [vector(goal, _metrics(t, goal)) for t in feasible]
    best = [t for t, rank in zip(feasible, ranks(vectors), strict=True) if rank == 0]
    return tuple(sorted(best, key=lambda t: (-vector(goal, _metrics(t, goal))[0], t.number)))


def knee(trials: Sequence[TrialRecord], goal: Goal) -> TrialRecord | None:
    """The member of a front farthest beyond the plane through the front's extremes (Das 1999).

    With each objective scaled to [0, 1] over the front, that is the largest sum. A front of fewer than three has none.
    """
    if len(goal.objectives) < 2 or len(trials) < 3:
        return None
    vectors = [vector(goal, _metrics(t, goal)) for t in trials]
    lows, highs = [list(map(f, zip(*vectors, strict=True))) for f in (min, max)]
    spans = [high - low or 1.0 for low, high in zip(lows, highs, strict=True)]
    sums = [sum((v - low) / span for v, low, span in zip(each, lows, spans, strict=True)) for each in vectors]
    return trials[sums.index(max(sums))]


def vector(goal: Goal, metrics: Mapping[str, float]) -> tuple[float, ...]:
    """The objectives, turned so that larger is better."""
    return tuple(o.worse_first(v) for o, v in zip(goal.objectives, goal.values(metrics), strict=True))


def ranks(vectors: Sequence[Vector]) -> list[int]:
    """Non-dominated sorting (Deb et al. 2002): 0 for the front, 1 for the front of the others, and so on.

    All pairs at once: a rung of a thousand trials is sorted in hundredths of a second.
    """
    if not vectors:
        return []
    values_NM = np.asarray(vectors, dtype=np.float64)
    no_worse_NN = np.ones((len(values_NM), len(values_NM)), dtype=bool)
    for column_N in values_NM.T:
        no_worse_NN &= column_N[:, None] >= column_N[None]
    beats_NN = no_worse_NN & ~no_worse_NN.T  # no worse, and not equal
    beaten_by_N, rank_N, rank = beats_NN.sum(0), np.full(len(values_NM), -1), 0
    while (front_N := (beaten_by_N == 0) & (rank_N < 0)).any():
        rank_N[front_N] = rank
        beaten_by_N = beaten_by_N - beats_NN[front_N].sum(0)
        rank += 1
    return [int(rank) for rank in rank_N]


def _preferred(trials: Sequence[TrialRecord], goal: Goal, metric: str) -> TrialRecord:
    measured = [t for t in trials if math.isfinite(_metrics(t, goal).get(metric, math.nan))]
    if not measured:
        known = sorted({k for t in trials for k in _metrics(t, goal) if k.startswith("val/")})
        raise UserError(
            f"no trial has the metric '{metric}'{did_you_mean(metric, known)}; there are: {', '.join(known)}"
        )
    parts = split_metric(metric)
    sign = 1 if parts and parts[2] in HIGHER_IS_BETTER else -1
    return max(measured, key=lambda t: (sign * _metrics(t, goal)[metric], goal.score(_metrics(t, goal)), -t.number))


def _metrics(trial: TrialRecord, goal: Goal) -> Mapping[str, float]:
    best = trial.best(goal)
    return best.metrics if best else {}


def _shortfall(trial: TrialRecord, goal: Goal) -> float:
    return sum(goal.shortfalls(_metrics(trial, goal)).values())


def _is_measured(trial: TrialRecord, goal: Goal) -> bool:
    return all(map(math.isfinite, goal.values(_metrics(trial, goal))))


def spread(vectors: Sequence[Vector]) -> list[int]:
    """Indexes in epsilon-net order: the highest mean first, then each time the one farthest from all before it."""
    if not vectors:
        return []
    values_NM = np.asarray(vectors, dtype=np.float64)
    order = [max(range(len(vectors)), key=lambda i: (sum(vectors[i]), -i))]
    distance_N = np.full(len(vectors), np.inf)
    while len(order) < len(vectors):
        distance_N = np.minimum(distance_N, np.sqrt(((values_NM - values_NM[order[-1]]) ** 2).sum(1)))
        distance_N[order] = -1.0
        order.append(int(distance_N.argmax()))  # of equals the first
    return order
