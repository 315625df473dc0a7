"""The state of a study while it is watched, and its presentation as text."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from raytune_planes.fold_metrics import plain, with_error
from raytune_planes.records import Action, End, EpochRecord, Goal, TrialRecord, split_metric
from raytune_planes.settings import epochs_in_all


@dataclass(frozen=True)
class Outline:
    """What is known of a study before its first trial."""

    name: str
    goal: Goal
    primary: Mapping[str, str]
    """Dataset -> the validation metric to show."""
    trials: int
    """How many were asked for."""
    epochs: int
    """Of a trial that runs to its end, as far as the space fixes it."""
    about: str = ""
    """One line: the question, the machine, where results go."""
    has_places: bool = False
    """Whether trials run on several hosts or kinds of hosts, so that each trial's is shown."""
    earlier: tuple[TrialRecord, ...] = ()
    """Trials that ended before the study was resumed."""


class Board:
    """What both views know: the trials, the best one, and how long the rest may take."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self.trials = {t.trial_id: t for t in outline.earlier}
        self._earlier = frozenset(self.trials)
        self._start_s = time.monotonic()

    def take(self, trial: TrialRecord) -> None:
        self.trials[trial.trial_id] = trial

    def take_goal(self, goal: Goal) -> None:
        self.outline = replace(self.outline, goal=goal)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._start_s

    @property
    def ended(self) -> int:
        return sum(t.end not in (End.RUNNING, End.INTERRUPTED) for t in self.trials.values())

    def remaining_s(self) -> float | None:
        """From the pace of the epochs so far; None before the first one. An ended trial counts as all of its epochs."""
        epochs = self.outline.epochs
        done = sum(
            min(len(t.epochs), epochs) if t.end is End.RUNNING else epochs
            for t in self.trials.values()
            if t.trial_id not in self._earlier
        )
        left = (self.outline.trials - len(self._earlier)) * epochs - done
        return self.elapsed_s * left / done if done else None

    def best(self) -> TrialRecord | None:
        """The best so far of all trials that are neither pruned nor failed; one that keeps the floors goes first."""
        goal = self.outline.goal
        fit = [t for t in self.trials.values() if t.best(goal) and t.end not in (End.PRUNED, End.FAILED)]
        return max(fit, key=lambda t: (keeps_floors(t, goal), score_of(t, goal), -t.number), default=None)

    def values(self, trial: TrialRecord) -> dict[str, str]:
        """Dataset -> its primary metric at the trial's best epoch, at its last while it runs; ``z`` marks rest."""
        if not trial.epochs:
            return {}
        best = None if trial.end is End.RUNNING else trial.best(self.outline.goal)
        metrics = best.metrics if best else plain(trial.epochs[-1])
        resting = trial.epochs[-1].resting
        return {
            name: f"{metrics[key]:.3f}{' z' if name in resting else ''}"
            for name, key in self.outline.primary.items()
            if key in metrics
        }

    def news(self, trial: TrialRecord, epoch: EpochRecord) -> list[str]:
        """What else is told of an epoch: who rests and wakes, and where a fold ends the mean so far."""
        verbs = {Action.REST: "rests", Action.WAKE: "wakes"}
        lines = [
            f"trial {trial.number}: {d.dataset} {verbs[d.action]} after epoch {d.epoch}: {d.reason}"
            for d in epoch.decisions
        ]
        if epoch.result:
            keys = [(name, key) for name, key in self.outline.primary.items() if key in epoch.metrics]
            means = ", ".join(f"{name} {short_name(key)} {with_error(key, epoch.metrics)}" for name, key in keys)
            lines.append(f"trial {trial.number}: mean of {epoch.fold} fold{'s' * (epoch.fold > 1)}: {means}")
        return lines


def place_of(trial: TrialRecord) -> str:
    """``w2 (gpu)``; empty before the first epoch."""
    return f"{trial.tags['host']} ({trial.tags.get('pool', '')})" if "host" in trial.tags else ""


def score_of(trial: TrialRecord, goal: Goal) -> float:
    best = trial.best(goal)
    return goal.score(best.metrics) if best else float("-inf")


def score_text(trial: TrialRecord, goal: Goal) -> str:
    """The mean of the objectives at the trial's best epoch; ``!`` marks one below a floor, "" none measured."""
    best = trial.best(goal)
    if best is None or not math.isfinite(value := goal.value(best.metrics)):
        return ""
    return f"{value:.4f}" + ("" if goal.feasible(best.metrics) else " !")


def keeps_floors(trial: TrialRecord, goal: Goal) -> bool:
    best = trial.best(goal)
    return best is not None and goal.feasible(best.metrics)


def progress(trial: TrialRecord) -> str:
    total = epochs_in_all(trial.config) if "budget.epochs" in trial.config else "?"
    last = trial.epochs[-1] if trial.epochs else None
    return f"{last.epoch if last else 0}/{total}" + (f", fold {last.fold}" if last and last.fold else "")


def short_name(key: str) -> str:
    parts = split_metric(key)
    return parts[2] if parts else key


def short_value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def clock(seconds: float) -> str:
    """``75`` -> ``1:15``; hours where there are some."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
