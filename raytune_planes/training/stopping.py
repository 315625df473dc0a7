"""``stopping.plateau: epochs``: a dataset rests after epochs without a gain, and wakes when it gets worse.

The rules follow the multi-task schedule of Lu et al. 2020 (12-in-1, section 3.2): plateau, rest, and restart below a
share of the best. Beyond them, a dataset below a floor of its goal trains on whatever the rule says, and one that gains
at rest by as much as would wake it if lost is taken to have rested too early. Every decision is a pure function of the
metrics so far, hence the same on every worker and after a resume.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from raytune_planes import config
from raytune_planes.printing import counted
from raytune_planes.records import Action, Decision, split_metric


@dataclass(frozen=True)
class Progress:
    """What is known of one dataset after some epochs."""

    best: float = -math.inf
    """Highest value of its primary metric."""
    reference: float = -math.inf
    """The value that the next improvement is measured from; it stays where it is while the dataset rests."""
    stale: int = 0
    """Epochs in training since the last improvement."""
    epochs: int = 0
    """Epochs seen."""
    resting: bool = False


def advance(
    before: Progress, value: float, epochs: int, rule: str, stop: config.Stop, missed: str = ""
) -> tuple[Progress, Action | None, str]:
    """One dataset after one more epoch in which its primary metric reached ``value``.

    Args:
        epochs: The whole budget.
        missed: The floor of its goal that it is below after this epoch, in words; empty where it keeps all.

    Returns:
        The new state, what was decided if anything, and why.
    """
    improved = not before.resting and value > before.reference + _needed(before, stop)
    now = replace(
        before,
        best=max(before.best, value),
        reference=value if improved else before.reference,
        stale=0 if improved else before.stale + (not before.resting),
        epochs=before.epochs + 1,
    )
    if rule == "none":
        return now, None, ""
    if before.resting:
        return _maybe_wake(now, value, rule, stop, missed)
    return (now, None, "") if missed else _maybe_rest(now, value, epochs, stop)


def _needed(before: Progress, stop: config.Stop) -> float:
    """The smallest gain that counts as an improvement."""
    return stop.min_delta * (abs(before.reference) if stop.relative and math.isfinite(before.reference) else 1.0)


def _maybe_rest(now: Progress, value: float, epochs: int, stop: config.Stop) -> tuple[Progress, Action | None, str]:
    if now.epochs < stop.minimum(epochs):
        return now, None, ""
    if stop.target is not None and value >= stop.target:
        return replace(now, resting=True), Action.REST, f"reached its target: {value:.4g} >= {stop.target:.4g}"
    if now.stale >= stop.waits(epochs):
        kind = "relative" if stop.relative else "absolute"
        why = f"no gain above {stop.min_delta:g} ({kind}) for {counted(now.stale, 'epoch')}; best {now.best:.4g}"
        return replace(now, resting=True), Action.REST, why
    return now, None, ""


def _maybe_wake(
    now: Progress, value: float, rule: str, stop: config.Stop, missed: str
) -> tuple[Progress, Action | None, str]:
    # Its reference moves to where it is: it must have the chance to improve before it may rest again.
    woken = replace(now, resting=False, stale=0, reference=value)
    if missed:
        return woken, Action.WAKE, missed
    if rule != "stop_and_go":
        return now, None, ""
    threshold = now.best * (1 - stop.margin)
    if value < threshold:
        return woken, Action.WAKE, f"fell to {value:.4g}, below {threshold:.4g} = best {now.best:.4g} x (1 - margin)"
    gained = now.reference + max(_needed(now, stop), stop.margin * abs(now.reference))
    if value > gained and (stop.target is None or value < stop.target):
        return woken, Action.WAKE, f"rose to {value:.4g} while resting, above {gained:.4g}: it has not converged"
    return now, None, ""


class Stopping:
    """The datasets of one trial, and which of them rest."""

    def __init__(self, rule: str, stops: Mapping[str, config.Stop], primary: Mapping[str, str], epochs: int) -> None:
        """``primary`` names each dataset's validation metric, e.g. ``val/fgvc/accuracy``; ``epochs`` is the budget."""
        self._rule, self._stops, self._primary, self._epochs = rule, stops, primary, epochs
        self._progress = {name: Progress() for name in stops}

    @property
    def resting(self) -> tuple[str, ...]:
        return tuple(name for name, p in self._progress.items() if p.resting)

    @property
    def all_rest(self) -> bool:
        return all(p.resting for p in self._progress.values())

    def update(
        self, epoch: int, metrics: Mapping[str, float], floors: Mapping[str, float] | None = None
    ) -> tuple[Decision, ...]:
        """Take in the validation of ``epoch``; a dataset whose metric is absent is left as it is.

        ``floors``: under which no metric may end (``val/planesnet/accuracy``: 0.9), of the datasets that train.
        """
        decisions = []
        for name, before in self._progress.items():
            value = metrics.get(self._primary[name])
            if value is None:
                continue
            missed = missed_floor(name, metrics, floors or {})
            now, action, reason = advance(before, value, self._epochs, self._rule, self._stops[name], missed)
            self._progress[name] = now
            if action is not None:
                decisions.append(Decision(name, action, epoch, reason))
        return tuple(decisions)

    def state_dict(self) -> dict[str, Any]:
        return {name: asdict(p) for name, p in self._progress.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._progress = {name: Progress(**state[name]) for name in self._progress}


def missed_floor(dataset: str, metrics: Mapping[str, float], floors: Mapping[str, float]) -> str:
    """The first floor that ``dataset`` is below, in words; empty where it keeps all that were measured."""
    for key, floor in floors.items():
        parts = split_metric(key)
        if parts and parts[1] == dataset and metrics.get(key, floor) < floor:
            return f"{key} is {metrics[key]:.4g}, below its floor of {floor:.4g}"
    return ""
