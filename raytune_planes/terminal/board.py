"""The state of a study while it is watched, and its presentation as text."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from raytune_planes.fold_metrics import plain, with_error
from raytune_planes.records import Action, End, EpochRecord, Goal, TrialRecord, split_metric
from raytune_planes.settings import epochs_in_all
from raytune_planes.terminal.alone import Alone
from raytune_planes.terminal.remaining import Length, remaining
from raytune_planes.tracking.costs import trained_for
from raytune_planes.tracking.files import trial_folder
from raytune_planes.tracking.steps import Steps, read_steps

Rank = tuple[bool, float, int]
"""Of a trial: whether it keeps the floors, its score, and its number, of which the smaller comes first."""
MANY, REST = 200, 20.0
"""The time to go of more trials than that is computed anew after this many times as long as that took."""


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
    at_once: int = 1
    """Trials that may run at the same time."""
    folder: Path | None = None
    """Of the study; where it is known, progress within epochs is shown."""
    earlier: tuple[TrialRecord, ...] = ()
    """Trials that ended before the study was resumed."""


class Board:
    """What both views know: the trials, the best one, and how long the rest may take."""

    def __init__(self, outline: Outline, clock: Callable[[], float] = time.monotonic) -> None:
        self.outline, self._clock = outline, clock
        self.trials, self.alone = {t.trial_id: t for t in outline.earlier}, dict[str, Alone]()  # those that run alone
        self._start_s = clock()
        self._began_s, self._took_s = dict[str, float](), dict[str, float]()
        self._ranks: dict[str, tuple[TrialRecord, Rank | None]] = {}  # the best is asked for at each drawing
        self._left: tuple[float, float] | None = None
        self._left_due_s = -math.inf

    def take(self, trial: TrialRecord) -> None:
        self.trials[trial.trial_id] = trial
        began_s = self._began_s.setdefault(trial.trial_id, self._clock())
        if trial.end is End.RUNNING:
            self._took_s.pop(trial.trial_id, None)
        else:
            self._took_s.setdefault(trial.trial_id, self._clock() - began_s)

    def take_goal(self, goal: Goal) -> None:
        self.outline = replace(self.outline, goal=goal)
        self._ranks.clear()

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._start_s

    @property
    def ended(self) -> int:
        return sum(t.end not in (End.RUNNING, End.INTERRUPTED) for t in self.trials.values())

    def running(self) -> list[TrialRecord]:
        return [t for t in self.trials.values() if t.end is End.RUNNING]

    def remaining(self) -> tuple[float, float] | None:
        """The least and the most seconds that the trials will likely still take; None before the first epoch. As long
        as none has ended, the pace of those that run tells it. Of more than ``MANY`` trials it is not computed
        at each drawing, but after ``REST`` times as long as that took: it compares all that run with all that ended."""
        now = self._clock()
        if len(self.trials) <= MANY or now >= self._left_due_s:
            began_s = time.thread_time()
            self._left = self._remaining()
            self._left_due_s = now + REST * (time.thread_time() - began_s)
        return self._left

    def _remaining(self) -> tuple[float, float] | None:
        running = self.running()
        waiting = max(0, self.outline.trials - self.ended - len(running))
        if not running and not waiting:
            return None
        ended = [t for t in self.trials.values() if t.end.is_complete or t.end is End.PRUNED]  # a failure tells nothing
        return remaining([*map(self._length, ended)], [*map(self._length, running)], waiting, self.outline.at_once)

    def steps(self, trial: TrialRecord) -> Steps | None:
        """How far a running trial is within its epoch; None where that is not known."""
        if self.outline.folder is None or trial.end is not End.RUNNING:
            return None
        return read_steps(trial_folder(self.outline.folder, trial.number, trial.trial_id))

    def progress(self, trial: TrialRecord) -> str:
        """``3/12``, and between epochs ``3/12 +40%``, short for a column; ``starts`` before its first step."""
        steps = self.steps(trial)
        if trial.end is End.RUNNING and not trial.epochs and steps is None and self.outline.folder is not None:
            return "starts"
        return progress(trial) + (f" +{steps.share:.0%}" if steps and steps.done else "")

    def images(self, trial: TrialRecord) -> str:
        """Training images so far, those of an epoch that has not ended included; "" before the first."""
        steps, past = self.steps(trial), trial.epochs[-1].samples if trial.epochs else 0
        number = past + (steps.images if steps else 0)
        return f"{number:,}" if number else ""

    def seconds(self, trial: TrialRecord) -> float:
        """Since it began, until it ended; at least of its epochs together, as where it ended before this view."""
        own = trained_for(trial)
        if trial.end is End.RUNNING and trial.trial_id in self._began_s:
            return max(own, self._clock() - self._began_s[trial.trial_id])
        return max(own, self._took_s.get(trial.trial_id, 0.0))

    def _length(self, trial: TrialRecord) -> Length:
        """Its pace by its whole epochs, without what was done once before them; before the first by its steps."""
        share, epochs = self._share(trial), self._epochs(trial)
        if trial.epochs:
            return Length(trained_for(trial) / len(trial.epochs) * epochs, share)
        return Length(self.seconds(trial) / share if share else None, share)

    def _epochs(self, trial: TrialRecord) -> int:
        """Of a trial that runs to its end; 0 where that is not known."""
        return epochs_in_all(trial.config) if "budget.epochs" in trial.config else self.outline.epochs

    def _share(self, trial: TrialRecord) -> float:
        """How much of a whole trial's epochs this one has trained; 0 while that is not known."""
        steps = self.steps(trial)
        done = len(trial.epochs) + (steps.share if steps else 0.0)
        epochs = self._epochs(trial)
        return min(1.0, done / epochs) if epochs else 0.0

    def best(self) -> TrialRecord | None:
        """The best so far of all trials that are neither pruned nor failed; one that keeps the floors goes first."""
        for trial in self.trials.values():
            if trial.trial_id not in self._ranks or self._ranks[trial.trial_id][0] is not trial:
                self._ranks[trial.trial_id] = trial, self._rank(trial)
        ranked = [(rank, trial) for trial, rank in self._ranks.values() if rank is not None]
        return max(ranked, key=lambda each: each[0])[1] if ranked else None

    def _rank(self, trial: TrialRecord) -> Rank | None:
        """By which the trials are compared; None for one that cannot be the best."""
        goal = self.outline.goal
        if trial.end in (End.PRUNED, End.FAILED) or not trial.best(goal):
            return None
        return keeps_floors(trial, goal), score_of(trial, goal), -trial.number

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


def card_of(epoch: EpochRecord) -> str:
    """``5120 images/s, 3.1 GiB of the card, 87 % busy``; empty for an epoch on processors."""
    found = epoch.metrics
    if "card/images_per_second" not in found:
        return ""
    busy = f", {100 * found['card/busy']:.0f} % busy" if "card/busy" in found else ""
    return f"{found['card/images_per_second']:.0f} images/s, {found['card/memory_gib']:.1f} GiB of the card{busy}"


def card_in_short(trial: TrialRecord) -> str:
    """``5120/s 3.1G 87%``, of the last epoch: the same in a column."""
    found = trial.epochs[-1].metrics if trial.epochs else {}
    if "card/images_per_second" not in found:
        return ""
    busy = f" {found['card/busy']:.0%}" if "card/busy" in found else ""
    return f"{found['card/images_per_second']:.0f}/s {found['card/memory_gib']:.1f}G{busy}"


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
