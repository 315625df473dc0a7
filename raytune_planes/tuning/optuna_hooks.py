"""What the search needs of Optuna and Optuna has no public way to: only this file uses Optuna's private names.

Without one of them a study continues with Optuna's own sampler or view, and a warning says what is lost. The upper
bound on Optuna in ``pyproject.toml`` is theirs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
OF_TPE = "optuna.samplers._tpe.sampler"
FUNCTIONS = ("_split_trials", "default_gamma", "default_gamma_multiobjective")
METHODS = ("_sample", "_build_parzen_estimator", "_compute_acquisition_func", "_compare")
ATTRIBUTES = ("_rng", "_n_ei_candidates", "_gamma", "_constant_liar")
VIEW = "_get_trials"
"""Of a study: what samplers read its trials by."""
OF_STORAGE = ("_create_new_trial", "_get_trials", "_set_trial_param", "_get_best_trial_id")
"""Of a storage in a database: what Optuna's cache asks of it beside the public methods; one that is gone needs none."""

log = logging.getLogger(__name__)


def tpe(**options: Any) -> BaseSampler:
    """Optuna's TPE for one suggestion, with one split of the trials for all its dimensions.

    Optuna reads, ranks and splits all trials again for each dimension. What is suggested is the same.
    """
    plain = TPESampler(**options)
    if lost := _missing(OF_TPE, FUNCTIONS) or _missing_of(plain, (*METHODS, *ATTRIBUTES)):
        _warn(lost, "a suggestion takes longer, 0.4 s after 1,000 trials of a large space")
        return plain
    return _Tpe(**options)


def id_of(trial: FrozenTrial) -> int:
    """By which its storage knows it; studies have numbers of their own."""
    return int(trial._trial_id)


def view(study: Study, ended: Sequence[FrozenTrial]) -> Study:
    """``study`` as if ``ended`` were its trials that have ended, for a sampler to read."""
    if lost := _missing_of(study, (VIEW,)):
        _warn(lost, "the sampler learns nothing from pruned trials of several objectives")
        return study
    return _View(study, ended)


class _Tpe(TPESampler):
    _halves: tuple[list[FrozenTrial], list[FrozenTrial]] | None = None

    def _sample(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        below, above = self._halves = self._halves or self._split(study, trial)
        of_below = self._build_parzen_estimator(study, search_space, below, handle_below=True)
        of_above = self._build_parzen_estimator(study, search_space, above, handle_below=False)
        samples = of_below.sample(self._rng.rng, self._n_ei_candidates)
        chosen = TPESampler._compare(samples, self._compute_acquisition_func(samples, of_below, of_above))
        return {name: space.to_external_repr(chosen[name]) for name, space in search_space.items()}

    def _split(self, study: Study, trial: FrozenTrial) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
        states = [*ENDED, *[TrialState.RUNNING] * self._constant_liar]
        trials = [t for t in study.get_trials(deepcopy=False, states=states) if t.number != trial.number]
        ended = sum(t.state is not TrialState.RUNNING for t in trials)
        split, *gammas = (getattr(import_module(OF_TPE), name) for name in FUNCTIONS)
        gamma: Callable[[int], int] = self._gamma or gammas[len(study.directions) > 1]
        below, above = split(study, trials, gamma(ended))
        return below, above


class _View(Study):
    def __init__(self, study: Study, ended: Sequence[FrozenTrial]) -> None:
        self.__dict__.update(study.__dict__)
        self._ended, self._known = ended, {trial.number for trial in ended}

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        asked = [s for s in TrialState if s not in ENDED and (states is None or s in states)]
        rest = super()._get_trials(deepcopy, asked, use_cache) if asked else []
        rest = [trial for trial in rest if trial.number not in self._known]
        ended = [trial for trial in self._ended if states is None or trial.state in states]
        return sorted(ended + rest, key=lambda trial: trial.number)


def _missing(module: str, names: Sequence[str]) -> str:
    try:
        return _missing_of(import_module(module), names)
    except ImportError:
        return module


def _missing_of(holder: object, names: Sequence[str]) -> str:
    """The first of ``names`` that ``holder`` lacks; empty where it has all."""
    return next((name for name in names if not hasattr(holder, name)), "")


@cache
def _warn(name: str, consequence: str) -> None:
    """Once for each name."""
    log.warning("Optuna %s has no %s: %s", optuna.__version__, name, consequence)
