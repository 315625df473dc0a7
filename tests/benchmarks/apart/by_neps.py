# /// script
# requires-python = ">=3.10"
# dependencies = ["neural-pipeline-search==0.17.0"]
# ///
"""NePS by its ask-and-tell interface, with the optimizer that is named; for a space with a number of epochs and without
a prior it would choose ``hyperband`` itself. What it promotes goes on from its checkpoint."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from lines import serve  # beside this script


class Neps:
    """Random configurations in the brackets of ``method``: its models need a prior, or weights from a hub."""

    def __init__(
        self, method: str, seed: int, dimensions: list[list[Any]], first: int, reduction: int, epochs: int
    ) -> None:
        import neps
        import numpy as np
        import torch
        from neps.optimizers import load_optimizer

        for draw_from in (random.seed, np.random.seed, torch.manual_seed):  # it takes the process's generators
            draw_from(seed)
        torch.set_num_threads(1)
        kinds = {"float": neps.Float, "int": neps.Integer}
        ranges = {name: kinds[kind](low, high, log=log) for name, kind, low, high, log in dimensions}
        fields = {**ranges, "epochs": neps.IntegerFidelity(first, epochs)}
        space = type("Space", (neps.PipelineSpace,), fields)()
        optimizer, _ = load_optimizer((method, {"eta": reduction}), space)
        self._neps = neps.AskAndTell(optimizer)
        self._asked: dict[str, Any] = {}

    def ask(self) -> tuple[str, Mapping[str, Any]]:
        asked = self._neps.ask()
        name = str(asked.metadata.id).split("_")[0]
        self._asked[name] = asked
        drawn = {key: getattr(value, "item", lambda v=value: v)() for key, value in asked.config.items()}
        return name, {key: value for key, value in drawn.items() if key != "epochs"}

    def report(self, name: str, epoch: int, value: float, final: bool) -> bool:
        return epoch >= round(self._asked[name].config["epochs"])

    def tell(self, name: str, epoch: int, value: float, over: bool) -> None:
        self._neps.tell(self._asked.pop(name).metadata.id, 1 - value)


if __name__ == "__main__":
    serve(partial(Neps, sys.argv[1]))
