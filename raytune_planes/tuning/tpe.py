"""Optuna's TPE with one split of the trials for all dimensions of a suggestion: Optuna splits them again for each."""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.sampler import _split_trials, default_gamma, default_gamma_multiobjective
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class Tpe(TPESampler):
    """Suggests what ``TPESampler`` suggests, and serves one suggestion: ``samplers.build`` makes one for each."""

    _halves: tuple[list[FrozenTrial], list[FrozenTrial]] | None = None

    def _sample(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        below, above = self._halves = self._halves or self._split(study, trial)
        of_below = self._build_parzen_estimator(study, search_space, below, handle_below=True)
        of_above = self._build_parzen_estimator(study, search_space, above, handle_below=False)
        samples = of_below.sample(self._rng.rng, self._n_ei_candidates)
        chosen = TPESampler._compare(samples, self._compute_acquisition_func(samples, of_below, of_above))
        return {name: space.to_external_repr(chosen[name]) for name, space in search_space.items()}

    def _split(self, study: Study, trial: FrozenTrial) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
        states = [TrialState.COMPLETE, TrialState.PRUNED, *[TrialState.RUNNING] * self._constant_liar]
        trials = [t for t in study.get_trials(deepcopy=False, states=states) if t.number != trial.number]
        ended = sum(t.state is not TrialState.RUNNING for t in trials)
        gamma = self._gamma or (default_gamma_multiobjective if len(study.directions) > 1 else default_gamma)
        return _split_trials(study, trials, gamma(ended))
