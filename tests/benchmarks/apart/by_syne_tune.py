# /// script
# requires-python = ">=3.10,<3.12"
# dependencies = ["syne-tune[gpsearchers]==0.13.0", "numpy<1.27", "setuptools<81"]
# ///
"""MOBSTER and HyperTune of Syne Tune (its last version that has them), called as its ``Tuner`` calls them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from lines import serve  # beside this script

METHODS = ("MOBSTER", "HyperTune")


class SyneTune:
    """A scheduler with its default options beside the first rung and the reduction."""

    def __init__(
        self, method: str, seed: int, dimensions: list[list[Any]], first: int, reduction: int, epochs: int
    ) -> None:
        from syne_tune import config_space
        from syne_tune.backend.trial_status import Trial
        from syne_tune.optimizer import baselines
        from syne_tune.optimizer.scheduler import SchedulerDecision

        assert method in METHODS
        ranges = {
            ("float", False): config_space.uniform,
            ("float", True): config_space.loguniform,
            ("int", False): config_space.randint,
            ("int", True): config_space.lograndint,
        }
        space = {name: ranges[kind, log](low, high) for name, kind, low, high, log in dimensions}
        self._scheduler = getattr(baselines, method)(
            {**space, "epochs": epochs},
            metric="accuracy",
            mode="max",
            resource_attr="epoch",
            max_resource_attr="epochs",
            grace_period=first,
            reduction_factor=reduction,
            random_seed=seed,
        )
        self._trial, self._go_on = Trial, SchedulerDecision.CONTINUE
        self._trials: dict[str, Any] = {}

    def ask(self) -> tuple[str, Mapping[str, Any]]:
        number = len(self._trials)
        asked = self._scheduler.suggest(trial_id=number)
        if asked.spawn_new_trial_id:
            trial = self._trials[str(number)] = self._trial(number, dict(asked.config), datetime.now())
            self._scheduler.on_trial_add(trial=trial)
        else:
            trial = self._trials[str(asked.checkpoint_trial_id)]
            if asked.config is not None:  # with another number of epochs
                trial.config = dict(asked.config)
        return str(trial.trial_id), {name: value for name, value in trial.config.items() if name != "epochs"}

    def report(self, name: str, epoch: int, value: float, final: bool) -> bool:
        """At the last epoch the scheduler stops a trial itself; only one that it lets go on is completed."""
        trial, result = self._trials[name], {"epoch": epoch, "accuracy": value}
        is_stopped = self._scheduler.on_trial_result(trial=trial, result=result) != self._go_on
        if is_stopped:
            self._scheduler.on_trial_remove(trial=trial)
        elif final:
            self._scheduler.on_trial_complete(trial, result)
        return is_stopped

    def tell(self, name: str, epoch: int, value: float, over: bool) -> None:
        """It knows already."""


if __name__ == "__main__":
    serve(partial(SyneTune, sys.argv[1]))
