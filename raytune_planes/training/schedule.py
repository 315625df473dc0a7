"""The learning rate: its course over the budget, and what plateaus take from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raytune_planes.config import Optim

GAIN = 1e-4
"""What counts as an improvement to ``plateau``; that of torch's ReduceLROnPlateau."""

SCHEDULES: Mapping[str, Callable[[Optim, float], float]] = {
    "cosine": lambda _, after: 0.5 * (1 + math.cos(math.pi * min(1.0, after))),
    "constant": lambda _, after: 1.0,
    "step": lambda settings, after: settings.factor ** math.floor(after / settings.every + 1e-9),
    "plateau": lambda _, after: 1.0,
}
"""``optim.schedule`` -> share of the peak rate at ``after``, the part in [0, 1] of what follows the warm-up."""


def rate(settings: Optim, progress: float) -> float:
    """The learning rate when ``progress`` in [0, 1] of the budget is spent."""
    if progress < settings.warmup:
        return settings.lr * (progress + 1e-3) / (settings.warmup + 1e-3)
    return settings.lr * SCHEDULES[settings.schedule](settings, (progress - settings.warmup) / (1 - settings.warmup))


class Plateau:
    """Takes the rate down by ``optim.factor`` once a metric has not risen for ``optim.patience`` epochs.

    Each step trains one dataset, so each has a rate of its own: one that has stopped improving slows down while the
    others keep their pace. With ``optim.plateau: score`` all share what the goal's score decides.
    """

    def __init__(self, settings: Optim, datasets: Sequence[str]) -> None:
        self._settings = settings
        self._factor = dict.fromkeys(datasets, 1.0)
        self._best = dict.fromkeys(datasets, -math.inf)
        self._waited = dict.fromkeys(datasets, 0)

    def factor(self, dataset: str) -> float:
        """Of the rate at a step of ``dataset``."""
        return self._factor[dataset]

    def learn(self, values: Mapping[str, float], score: float) -> None:
        """Take in an epoch: each dataset's primary validation metric, and the goal's score."""
        if self._settings.schedule != "plateau":
            return
        for dataset in self._factor:
            value = score if self._settings.plateau == "score" else values.get(dataset, -math.inf)
            if value > self._best[dataset] + GAIN:
                self._best[dataset], self._waited[dataset] = value, 0
                continue
            self._waited[dataset] += 1
            if self._waited[dataset] >= self._settings.patience:
                self._factor[dataset] *= self._settings.factor
                self._waited[dataset] = 0

    def state_dict(self) -> dict[str, Any]:
        return {"factor": dict(self._factor), "best": dict(self._best), "waited": dict(self._waited)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``; an empty one, of a checkpoint from before there were plateaus, changes nothing."""
        self._factor |= state.get("factor", {})
        self._best |= state.get("best", {})
        self._waited |= state.get("waited", {})
