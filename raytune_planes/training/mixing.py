"""Which dataset trains at which step: the order is drawn from shares, not from how long a loader is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from raytune_planes import config


class Mixer:
    """Hands out an epoch's steps. Draws nothing at random: every worker gets the same order."""

    def __init__(
        self,
        mixing: config.Mixing,
        stopping: config.Stopping,
        shares: Mapping[str, float],
        sizes: Mapping[str, int],
    ) -> None:
        """``shares``: each dataset's ``share`` setting. ``sizes``: its training images in use, those that
        ``limit`` leaves."""
        self._mixing, self._stopping = mixing, stopping
        self._base = _normalised(
            dict(shares)
            if mixing.rule != "temperature"
            # Arivazhagan et al. 2019, section 4.2: p_d ∝ n_d^(1/T); a dataset switched off by share 0 stays off.
            else {d: (sizes[d] ** (1 / mixing.temperature) if shares[d] > 0 else 0.0) for d in shares}
        )
        self._rewards = dict.fromkeys(shares, 0.0)
        self._last: dict[str, float] = {}
        self._credit = dict.fromkeys(shares, 0.0)

    def shares(self, resting: tuple[str, ...] = ()) -> dict[str, float]:
        """Each dataset's part of a full epoch's steps. They sum to one when freed steps are given, else to at most one.

        A resting dataset keeps one in ``stopping.trickle`` of its steps, or none.
        """
        requested = self._requested()
        keep = 1 / self._stopping.trickle if self._stopping.rule == "stop_and_go" and self._stopping.trickle else 0.0
        kept = {d: p * (keep if d in resting else 1.0) for d, p in requested.items()}
        awake = sum(p for d, p in kept.items() if d not in resting)
        if self._stopping.freed == "saved" or awake == 0:
            return kept
        freed = 1.0 - sum(kept.values())
        return {d: p if d in resting else p + freed * p / awake for d, p in kept.items()}

    def epoch(self, steps: int, resting: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The dataset of each step of the next epoch, evenly interleaved.

        What rounding takes from a dataset in one epoch it gets in a later one, so small shares are honoured in time.
        """
        shares = self.shares(resting)
        total = round(steps * sum(shares.values()))
        exact = {d: steps * p + self._credit[d] for d, p in shares.items()}
        counts = {d: max(0, math.floor(x)) for d, x in exact.items() if shares[d] > 0}
        while sum(counts.values()) < total:
            counts[max(counts, key=lambda d: exact[d] - counts[d])] += 1
        while sum(counts.values()) > total:
            counts[min((d for d in counts if counts[d]), key=lambda d: exact[d] - counts[d])] -= 1
        self._credit = {d: exact[d] - counts[d] if d in counts else 0.0 for d in shares}
        places = [((i + 0.5) / n, d) for d, n in counts.items() for i in range(n)]
        return tuple(d for _, d in sorted(places))

    def learn(self, values: Mapping[str, float], steps: Mapping[str, int]) -> None:
        """Take in an epoch's primary validation metrics (in [0, 1]) and what each dataset was given.

        The reward of ``gain`` is the improvement per step, as a share of the largest one this epoch; it is averaged
        with those before (Albalak et al. 2023, equation 2, whose reward is the training loss).
        """
        if self._mixing.rule != "gain":
            return
        gains = {
            d: max(0.0, v - self._last[d]) / steps[d] for d, v in values.items() if d in self._last and steps.get(d)
        }
        largest = max(gains.values(), default=0.0)
        for d, gain in gains.items():
            self._rewards[d] = 0.5 * self._rewards[d] + 0.5 * (gain / largest if largest > 0 else 0.0)
        self._last = self._last | dict(values)

    def _requested(self) -> dict[str, float]:
        if self._mixing.rule != "gain":
            return self._base
        on = [d for d, p in self._base.items() if p > 0]
        # Albalak et al. 2023, equation 1: a floor for each arm, and the rest by the softmax of its rewards. The scale
        # of 1/floor in their exponent grows with time; here the rewards are in [0, 1] and 4 spreads them to e^4.
        floor = self._mixing.explore / len(on)
        pull = _normalised({d: math.exp(4 * self._rewards[d]) for d in on})
        return {d: floor + (1 - self._mixing.explore) * pull[d] if d in pull else 0.0 for d in self._base}

    def state_dict(self) -> dict[str, Any]:
        return {"rewards": self._rewards, "last": self._last, "credit": self._credit}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._rewards, self._last = dict(state["rewards"]), dict(state["last"])
        self._credit = dict(state["credit"])


def _normalised(shares: Mapping[str, float]) -> dict[str, float]:
    total = sum(shares.values())
    return {d: s / total for d, s in shares.items()}
