"""The exponential moving average of the weights, which replaces them for validation and in checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from raytune_planes.training.kernels import each


class Average:
    """average <- d average + (1 - d) weights after every update (Polyak & Juditsky 1992, as an exponential average).

    d is the smaller of ``decay`` and (1 + t) / (10 + t) after t updates, so that the first weights, which are random,
    are soon forgotten. A decay of 0 keeps no average.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay, self._updates = decay, 0
        self._weights: dict[str, nn.Parameter] = _learning(model) if decay else {}
        self._shadow: dict[str, Tensor] = {}
        self.begin()

    @torch.no_grad()
    def begin(self) -> None:
        """Start from the weights as they are."""
        self._updates = 0
        self._shadow = {name: weight.detach().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """The weights have moved."""
        if not self._weights:
            return
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        self._updates += 1
        each("lerp_", list(self._shadow.values()), list(self._weights.values()), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the averaged weights for the time of the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, weight in self._weights.items():
            weight.data, self._shadow[name] = self._shadow[name], weight.data

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self._updates, "shadow": dict(self._shadow)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``; an empty one, of a checkpoint from before there were averages, changes nothing."""
        self._updates = state.get("updates", 0)
        for name, shadow in state.get("shadow", {}).items():
            if name in self._shadow:  # earlier checkpoints hold what is frozen as well
                self._shadow[name].copy_(shadow)


def _learning(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
