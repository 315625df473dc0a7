"""What a sampler sees of a study: pruned trials with the values that they had reached, and not too many trials."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from raytune_planes.tuning.optuna_hooks import ENDED, view

REACHED = "reached"
"""Attribute in the database: what a pruned trial had reached at its best epoch, one value for each objective."""
MOST = 1000
"""Trials that have ended which a sampler sees."""


class Seen(BaseSampler):
    """``inner`` with its view of the study: it serves one suggestion.

    A pruned trial is complete with the values that it had reached, where there are several objectives or ``always``.
    One that was paused is seen as if it had been pruned then.
    Optuna gives a pruned trial of several objectives no values, so that TPE ranks all of them equal, and its Gaussian
    processes leave all pruned ones out. Of more than ``MOST`` trials that have ended, the view holds the newest half,
    and of the others those that rank best in any objective or in the mean of the ranks. The database keeps all trials
    as they ended.

    Args:
        inner: the sampler.
        known: what was made of trials that have ended, by number; a search keeps it from one suggestion to the next.
    """

    def __init__(self, inner: BaseSampler, known: dict[int, Known], *, always: bool = False) -> None:
        self.inner, self._known, self._always = inner, known, always
        self._study: Study | None = None

    def reseed_rng(self) -> None:
        self.inner.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.inner.infer_relative_search_space(self._view(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.inner.sample_relative(self._view(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.inner.sample_independent(self._view(study), trial, param_name, param_distribution)

    def _view(self, study: Study) -> Study:
        if self._study is None:  # which trials have ended is asked once
            signs = [1.0 if d is StudyDirection.MAXIMIZE else -1.0 for d in study.directions]
            ended = study.get_trials(deepcopy=False, states=ENDED)
            for trial in ended:
                if trial.number not in self._known:
                    self._known[trial.number] = _known(trial, signs, self._always or len(signs) > 1)
            known = [self._known[t.number] for t in ended]
            open_ = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            known += [_known(_as_pruned(t), signs, self._always or len(signs) > 1) for t in open_ if _has_paused(t)]
            known.sort(key=lambda each: each.trial.number)
            self._study = view(study, [each.trial for each in _bounded(known)])
        return self._study


@dataclass(frozen=True)
class Known:
    """A trial that has ended, as the sampler sees it."""

    trial: FrozenTrial
    missed: float
    """By how much it misses the floors, together."""
    values: tuple[float, ...]
    """Larger is better; -inf for all where the trial has none."""


def _known(trial: FrozenTrial, signs: Sequence[float], completes: bool) -> Known:
    reached = trial.user_attrs.get(REACHED)
    if completes and reached:
        trial = copy.copy(trial)
        trial.state, trial.values = TrialState.COMPLETE, reached
    missed = sum(max(0.0, by) for by in trial.constraints.values())
    values = trial.values or [-math.inf] * len(signs)
    return Known(trial, missed, tuple(sign * value for sign, value in zip(signs, values, strict=True)))


def _has_paused(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get(REACHED))


def _as_pruned(trial: FrozenTrial) -> FrozenTrial:
    trial = copy.copy(trial)
    trial.state = TrialState.PRUNED
    return trial


def _bounded(trials: Sequence[Known]) -> Sequence[Known]:
    """At most ``MOST`` of them, in their order."""
    if len(trials) <= MOST:
        return trials
    older = trials[: -MOST // 2]
    places_NM = np.argsort(np.argsort(-np.array([known.values for known in older]), axis=0, kind="stable"), axis=0)
    places_N = np.column_stack([places_NM, places_NM.mean(1)]).min(1)
    best = np.lexsort((places_N, [known.missed for known in older]))[: MOST // 2]
    return [*(older[i] for i in sorted(best)), *trials[-MOST // 2 :]]
