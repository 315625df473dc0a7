# /// script
# requires-python = ">=3.10"
# dependencies = ["smac==2.4.1"]
# ///
"""SMAC3's multi-fidelity facade by its ask-and-tell interface. What it promotes goes on from its checkpoint."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lines import serve  # beside this script


class Smac:
    """Random forest and Hyperband, as the facade builds them for budgets."""

    def __init__(self, seed: int, dimensions: list[list[Any]], first: int, reduction: int, epochs: int) -> None:
        from ConfigSpace import ConfigurationSpace, Float, Integer
        from smac import MultiFidelityFacade, Scenario

        kinds = {"float": Float, "int": Integer}
        space = ConfigurationSpace(seed=seed)
        space.add([kinds[kind](name, (low, high), log=log) for name, kind, low, high, log in dimensions])
        scenario = Scenario(
            space,
            deterministic=True,
            n_trials=100_000,
            min_budget=first,
            max_budget=epochs,
            seed=seed,
            output_directory=Path(tempfile.mkdtemp()),
        )
        self._facade = MultiFidelityFacade(
            scenario,
            _not_called,
            intensifier=MultiFidelityFacade.get_intensifier(scenario, eta=reduction),
            overwrite=True,
            logging_level=False,
        )
        self._names: dict[Any, str] = {}
        self._asked: dict[str, Any] = {}

    def ask(self) -> tuple[str, Mapping[str, Any]]:
        asked = self._facade.ask()
        name = self._names.setdefault(asked.config, str(len(self._names)))
        self._asked[name] = asked
        return name, {key: getattr(value, "item", lambda v=value: v)() for key, value in dict(asked.config).items()}

    def report(self, name: str, epoch: int, value: float, final: bool) -> bool:
        return epoch >= round(self._asked[name].budget)

    def tell(self, name: str, epoch: int, value: float, over: bool) -> None:
        from smac.runhistory.dataclasses import TrialValue

        self._facade.tell(self._asked.pop(name), TrialValue(cost=1 - value, time=float(epoch)))


def _not_called(config: object, seed: int = 0, budget: float = 0) -> float:
    raise AssertionError("asked and told")


if __name__ == "__main__":
    serve(Smac)
