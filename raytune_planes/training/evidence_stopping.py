"""A dataset rests where that costs it little, and less than its steps bring the others, by the evidence of the curves.

What the rest of the budget can bring a dataset is taken from the line through its last validations over the logarithm
of the epochs (``training.evidence``): resting costs at most the upper limit of that gain, less what its trickle still
brings. What its steps bring the others is their own gain, with the steps that they get, less their gain without. Every
decision is a pure function of the metrics so far, hence the same on every worker and after a resume.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from raytune_planes import config
from raytune_planes.records import Action, Decision, metric
from raytune_planes.training.evidence import line
from raytune_planes.training.stopping import Stopping, missed_floor

Shares = Callable[[tuple[str, ...]], Mapping[str, float]]
"""Each dataset's part of an epoch's steps while these rest."""
FALSE_WAKES = 0.01
"""Of the validations of a resting dataset whose curve stays where it is, the share after which noise wakes it."""


def make_stopping(
    settings: config.TrialConfig, primary: Mapping[str, str], shares: Shares
) -> Stopping | EvidenceStopping:
    """What decides who rests, by ``stopping.plateau``; ``primary`` names each dataset's validation metric."""
    stops = {name: dataset.stop for name, dataset in settings.active.items()}
    if settings.stopping.plateau == "epochs":
        return Stopping(settings.stopping.rule, stops, primary, settings.budget.epochs)
    return EvidenceStopping(settings.stopping.rule, stops, primary, settings.budget.epochs, shares)


@dataclass(frozen=True)
class Curve:
    """What is known of one dataset after some epochs."""

    values: tuple[float, ...] = ()
    """Of its primary metric while it trains, since it began or woke; as many as the window holds."""
    resting: bool = False
    level: float = 0.0
    """Mean of the values; at rest, of those before."""
    chance: float = 0.0
    """How far from there a single value lies by noise alone."""
    slope: float = 0.0
    """Gain while the training becomes e times as long."""
    highest: float = math.inf
    """Upper limit of ``slope``; infinite until the window is full."""


class EvidenceStopping:
    """The datasets of one trial, and which of them rest."""

    def __init__(
        self,
        rule: str,
        stops: Mapping[str, config.Stop],
        primary: Mapping[str, str],
        epochs: int,
        shares: Shares,
    ) -> None:
        """``primary`` names each dataset's validation metric, e.g. ``val/fgvc/accuracy``; ``epochs`` is the budget."""
        self._rule, self._stops, self._primary, self._epochs, self._shares = rule, stops, primary, epochs, shares
        self._curves = {name: Curve() for name in stops}

    @property
    def resting(self) -> tuple[str, ...]:
        return tuple(name for name, curve in self._curves.items() if curve.resting)

    @property
    def all_rest(self) -> bool:
        return all(curve.resting for curve in self._curves.values())

    def update(
        self, epoch: int, metrics: Mapping[str, float], floors: Mapping[str, float] | None = None
    ) -> tuple[Decision, ...]:
        """Take in the validation of ``epoch``; a dataset whose metric is absent is left as it is.

        One dataset rests after an epoch at most: what the others gain by it is known only then.

        Args:
            metrics: With ``val/<dataset>/images`` beside each primary metric.
            floors: Under which no metric may end (``val/planesnet/accuracy``: 0.9), of the datasets that train.
        """
        seen = {n: metrics[key] for n, key in self._primary.items() if math.isfinite(metrics.get(key, math.nan))}
        for name, value in seen.items():
            if not self._curves[name].resting:
                self._curves[name] = self._seen(name, value, metrics[metric("val", name, "images")], epoch)
        if self._rule == "none" or epoch >= self._epochs:
            return ()
        missed = {name: missed_floor(name, metrics, floors or {}) for name in seen}
        woken = {n: why for n in seen if self._curves[n].resting and (why := self._wakes(n, seen[n], epoch, missed[n]))}
        for name in woken:
            self._curves[name] = Curve(values=(seen[name],))
        decisions = [Decision(name, Action.WAKE, epoch, why) for name, why in woken.items()]
        decisions += self._put_to_rest(seen, epoch, [n for n in seen if n not in woken and not missed[n]])
        return tuple(decisions)

    def _put_to_rest(self, seen: Mapping[str, float], epoch: int, names: Sequence[str]) -> list[Decision]:
        """Rest those that reached their target, and of the others the one whose rest brings most."""
        worth: dict[str, tuple[float, str]] = {}
        decisions = []
        for name in (n for n in names if not self._curves[n].resting):
            stop = self._stops[name]
            if epoch < stop.minimum(self._epochs):
                continue
            if stop.target is not None and seen[name] >= stop.target:
                self._curves[name] = replace(self._curves[name], values=(), resting=True, slope=0.0, highest=0.0)
                why = f"reached its target: {seen[name]:.4g} >= {stop.target:.4g}"
                decisions.append(Decision(name, Action.REST, epoch, why))
            elif found := self._may_rest(name, epoch):
                worth[name] = found
        if worth:
            name = max(worth, key=lambda n: worth[n][0])
            self._curves[name] = replace(self._curves[name], values=(), resting=True)
            decisions.append(Decision(name, Action.REST, epoch, worth[name][1]))
        return decisions

    def _seen(self, name: str, value: float, pictures: float, epoch: int) -> Curve:
        window = self._stops[name].window(self._epochs)
        values = (*self._curves[name].values, value)[-window:]
        found = line(values, pictures, epoch)
        highest = found.highest_slope(self._stops[name].confidence) if len(values) == window else math.inf
        return Curve(values, False, found.level, found.furthest(1 - FALSE_WAKES), found.slope, highest)

    def _may_rest(self, name: str, epoch: int) -> tuple[float, str] | None:
        """What the others gain beyond what it loses, and why it may rest; None where it may not."""
        curve, stop = self._curves[name], self._stops[name]
        if math.isinf(curve.highest):
            return None
        cost, brings = self._trade(name, epoch, self.resting, (*self.resting, name))
        needed = _needed(curve, stop)
        if cost >= needed or (brings is not None and cost >= brings):
            return None
        others = "its steps are saved" if brings is None else f"its steps bring the others {brings:.2g}"
        return (brings or 0.0) - cost, (
            f"rest costs it {cost:.2g} at most ({100 * stop.confidence:g} % limit by its last {len(curve.values)} "
            f"epochs, mean {curve.level:.4g}), less than {needed:.2g}; {others}"
        )

    def _wakes(self, name: str, value: float, epoch: int, missed: str) -> str:
        """Why a resting dataset wakes; empty where it does not."""
        curve, stop = self._curves[name], self._stops[name]
        if missed or self._rule != "stop_and_go":
            return missed
        off, margin = value - curve.level, stop.margin * abs(curve.level)
        beyond = f"by more than its margin of {margin:.2g} and its noise of {curve.chance:.2g} (99 %)"
        if -off > max(margin, curve.chance):
            return f"fell to {value:.4g}, from {curve.level:.4g} at rest: {beyond}"
        if stop.target is not None and value >= stop.target:
            return ""
        if off > max(margin, curve.chance, _needed(curve, stop)):
            return f"rose to {value:.4g}, from {curve.level:.4g} at rest, {beyond}: it has not converged"
        cost, brings = self._trade(name, epoch, tuple(n for n in self.resting if n != name), self.resting)
        judged = all(c.resting or math.isfinite(c.highest) for c in self._curves.values())
        if judged and brings is not None and cost > brings:
            return f"the others have stalled: its steps bring them {brings:.2g}, and would bring it up to {cost:.2g}"
        return ""

    def _trade(
        self, name: str, epoch: int, awake: tuple[str, ...], at_rest: tuple[str, ...]
    ) -> tuple[float, float | None]:
        """What resting costs ``name`` at most over the rest of the budget, and what it brings the others.

        The second is None where no other dataset that trains gets its steps.

        Args:
            awake: Who rests while ``name`` trains.
            at_rest: Who rests while it rests.
        """
        more, less, now = self._shares(awake), self._shares(at_rest), self._shares(self.resting)
        curve = self._curves[name]
        length = partial(_length, left=(self._epochs - epoch) / epoch)
        cost = max(0.0, curve.highest) * (length(more[name], more[name]) - length(less[name], more[name]))
        receivers = [n for n in self._curves if n not in at_rest and less[n] > more[n]]
        brings = sum(
            max(0.0, self._curves[n].slope) * (length(less[n], now[n]) - length(more[n], now[n])) for n in receivers
        )
        return min(cost, 1 - curve.level), brings if receivers else None

    def state_dict(self) -> dict[str, Any]:
        return {name: asdict(curve) for name, curve in self._curves.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._curves = {name: _restored(state[name]) for name in self._curves}


def _needed(curve: Curve, stop: config.Stop) -> float:
    """The smallest gain that counts."""
    return stop.min_delta * (abs(curve.level) if stop.relative else 1.0)


def _restored(state: Mapping[str, Any]) -> Curve:
    """Of a checkpoint. One of a version that counted epochs holds no values: the window begins anew."""
    if "values" not in state:
        return Curve(resting=True, level=state["best"], highest=0.0) if state["resting"] else Curve()
    return Curve(**{**state, "values": tuple(state["values"])})


def _length(share: float, before: float, left: float) -> float:
    """How much longer a dataset has trained at the end of the budget, as a logarithm.

    Args:
        share: That it gets from now on.
        before: That it got until now.
        left: The rest of the budget as a part of what is spent.
    """
    return math.log1p(left * share / before) if before > 0 else 0.0
