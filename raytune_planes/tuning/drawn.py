"""Draws the values of a configuration from an Optuna trial."""

from __future__ import annotations

import optuna

from raytune_planes.settings import Value

GIVEN, FIXED = "given", "fixed"
"""Attributes in the database: values outside of their ranges that a trial is given, and the paths of those inside that
Optuna hands out without drawing."""


class OptunaDraw:
    """Draws from an Optuna trial, but for the values that the trial was given from outside the ranges.

    Where an earlier driver drew a part, that part stays, and the sampler's chance is used up as it was used then: the
    rest comes out as if nothing had happened.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial, self.given = trial, trial.user_attrs.get(GIVEN, {})
        undrawn = {*trial.relative_params, *trial.user_attrs.get(FIXED, ())}
        for path, distribution in trial.distributions.items():
            if path not in undrawn:
                before = trial.study.trials[trial.number]
                trial.study.sampler.sample_independent(trial.study, before, path, distribution)

    def real(self, path: str, low: float, high: float, log: bool, step: float | None) -> float:
        return self.given[path] if path in self.given else self.trial.suggest_float(path, low, high, log=log, step=step)

    def whole(self, path: str, low: int, high: int, log: bool, step: int) -> int:
        return self.given[path] if path in self.given else self.trial.suggest_int(path, low, high, log=log, step=step)

    def choice(self, path: str, options: tuple[Value, ...]) -> Value:
        return self.given[path] if path in self.given else self.trial.suggest_categorical(path, options)
