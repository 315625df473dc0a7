"""Stops trials that fall behind: asynchronous successive halving on several datasets at once, with floors.

MO-ASHA (Schmucker et al. 2021) at equal samples seen, because trials differ in batch size and in the length of an
epoch. Pure Python over epoch records: the same records in the same order give the same verdicts, so that a resumed
study decides as one that was never interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from raytune_planes.pareto import Vector, spread
from raytune_planes.records import End, EpochRecord, Goal, TrialRecord
from raytune_planes.tuning.curves import Curve, extended
from raytune_planes.tuning.fronts import Fronts

BASELINE = 0
"""Number of the trial that runs the defaults. It is never stopped: everything is compared with it."""


@dataclass(frozen=True)
class Verdict:
    """Whether to stop a trial, and why; the reason is empty where nothing was judged."""

    stop: bool
    reason: str = ""
    end: End = End.PRUNED
    """How a trial that is stopped ends."""


@dataclass(frozen=True)
class Scale:
    """Where a metric stands at chance and where it should get: progress is 0 at the one and 1 at the other."""

    chance: float = 0.0
    target: float = 1.0

    def progress(self, value: float) -> float:
        return (value - self.chance) / (self.target - self.chance)


@dataclass(frozen=True)
class _Standing:
    """A trial at a rung."""

    progress: tuple[float, ...]
    """Per objective."""
    floors: Mapping[str, float]
    """What each floor's metric counts for, at most the floor; 0 where it was not measured."""


@dataclass
class _Rung:
    """Who stood at a rung in one stage of the plan, and how they stand at samples that all of them had seen there."""

    curves: dict[int, Curve] = field(default_factory=dict)
    """Of each trial, up to the epoch that met the rung."""
    samples: int = 0
    standings: dict[int, _Standing] = field(default_factory=dict)
    fronts: tuple[Fronts, Fronts] = field(default_factory=lambda: (Fronts(), Fronts()))
    """Of those that can keep every floor, and of the others."""


class Rungs:
    """Judges trials at ``grace``, ``grace x reduction``, ``grace x reduction^2``, ... samples, below ``budget``.

    A trial is judged once at a rung: the highest that it has met. An epoch meets the rungs that are nearer to its own
    end than to the end before it and to the one after it, if that epoch is as long: so a rung just behind the end of an
    epoch costs no further one. Trials may have epochs of different lengths: those of a rung are compared at its own
    samples, or at the fewest that any of them had seen there, on the line between two reports. A curve begins where its
    training began: with the first epoch of its stage. So a trial that took the weights of a common stage is not judged
    at the rungs of that stage, and trials in different stages are not compared.

    It continues if it is among the first ``1 / reduction`` of all that ever stood there, in this order:

    1. Those that can still keep every floor before those that cannot (constraint domination, Deb et al. 2002). A floor
       is meant for the end of training, so being below it early says nothing (``floors="reach"``): a trial cannot keep
       a floor when even at its present slope, the mean over the second half of its samples, it would not reach it
       within ``budget``. Learning curves flatten, so that is an upper bound of where it ends. It alone stops no trial;
       it only puts a trial behind those that can, at equal compute.
       ``strict`` takes the floor itself at every rung, ``ignore`` leaves floors to the end of the trial. On curves in
       closed form where datasets compete (tests/benchmarks, 20 seeds), as good a trial as plain search ended with took
       0.59 of its compute with ``reach`` for one objective and 0.54 for two, 0.54 and 0.93 with ``ignore``, 0.65 and
       0.78 with ``strict``.
    2. By non-dominated sorting of progress per objective, to which come those floors' metrics, each counted up to its
       floor and no further: among trials that cannot keep a floor the nearer ones are better in that respect.
    3. Within a front, spread out: first the highest mean progress, then always the trial farthest from those taken
       (the epsilon-net order of Salinas et al. 2021).

    With one objective and no floor this is ASHA (Li et al. 2020). Nobody is stopped at a rung where fewer than
    ``reduction`` trials have stood, nor the baseline, nor a trial at its end, nor at the lowest rung one of ``spared``.
    """

    PLACED = "after epoch {epoch.epoch}: {place} at {samples:,} samples"
    END = End.PRUNED

    def __init__(
        self,
        goal: Goal,
        grace: int,
        reduction: int = 3,
        *,
        budget: int | None = None,
        floors: Literal["reach", "strict", "ignore"] = "reach",
        scales: Mapping[str, Scale] | None = None,
        spared: Collection[int] = (),
    ) -> None:
        assert grace > 0, grace
        assert reduction > 1, reduction
        self.goal, self.grace, self.reduction, self.budget, self.floors = goal, grace, reduction, budget, floors
        self._scales = {o.metric: _scale(o.mode) for o in goal.objectives} | dict(scales or {})
        self._spared = frozenset(spared)
        self._curves: dict[int, Curve] = {}
        self._judged: dict[int, int] = {}
        self._stopped: dict[int, Verdict] = {}
        self._rungs: dict[tuple[str, int], _Rung] = {}

    def judge(self, number: int, epoch: EpochRecord, *, final: bool = False) -> Verdict:
        """Take note of a trial's epoch and say whether it continues.

        Args:
            number: of the trial.
            final: it ends with this epoch anyway, so that stopping it would save nothing and misname its end.
        """
        curve = self._curves[number] = extended(self._curves.get(number), epoch)
        level = self._met(curve)
        if level <= self._judged.get(number, -1):  # a stop that did not reach the trial is said again
            return Verdict(False) if final else self.stopped(number)
        self._judged[number] = level
        rung = self._rungs.setdefault((epoch.stage, level), _Rung())
        if not self._stand(rung, number, curve, self.level(level)):
            return Verdict(False)
        at = rung.standings
        passing = self._passing(len(at))
        order = self._order(rung, passing, number)
        place = f"place {order.index(number) + 1} of {len(at)}"
        reason = self.PLACED.format(epoch=epoch, place=place, samples=rung.samples)
        reason += f", {passing} go{'es' * (passing == 1)} on"
        equals = any(at[other] == at[number] for other in order[:passing])  # itself among them, or as good as one
        is_spared = number == BASELINE or (number in self._spared and level == 0)
        if is_spared or len(at) < self.least or equals:
            return Verdict(False, reason)
        behind = [self._behind(metric, at[number], curve, rung.samples) for metric in self._unkept(at[number])]
        verdict = Verdict(True, "; ".join([reason, *behind]), self.END)
        self._stopped[number] = verdict
        return Verdict(False, reason) if final else verdict

    def replay(self, trials: Iterable[TrialRecord]) -> None:
        """Take note of all epochs that earlier runs of the study recorded, in the order in which they ended."""
        epochs = [(epoch.time_ms, trial.number, epoch) for trial in trials for epoch in trial.epochs]
        for _, number, epoch in sorted(epochs, key=lambda item: (item[0], item[1], item[2].epoch)):
            self.judge(number, epoch)

    def stopped(self, number: int) -> Verdict:
        """What stopped a trial at a rung, also when that did not reach it; else that it continues."""
        return self._stopped.get(number, Verdict(False))

    @property
    def least(self) -> int:
        """Nobody is stopped at a rung where fewer trials have stood."""
        return self.reduction

    def _passing(self, stood: int) -> int:
        """How many of those that ``stood`` at a rung go on."""
        return math.ceil(stood / self.reduction)

    def level(self, rung: int) -> int:
        """Samples of a rung; 0 is the lowest."""
        return self.grace * int(self.reduction) ** rung

    def _met(self, curve: Curve) -> int:
        """The highest rung that the last epoch of ``curve`` or one before it has met; -1 for none."""
        before, now = curve.ends[-2:]
        rung = -1
        while 2 * (self.level(rung + 1) - now) < now - before and (
            self.budget is None or self.level(rung + 1) < self.budget
        ):
            rung += 1
        is_behind = rung >= 0 and curve.is_forked and 2 * (self.level(rung) - curve.began) < curve.ends[1] - curve.began
        return -1 if is_behind else rung  # it lies in the stage that another trial trained, or nearer to its end

    def _stand(self, rung: _Rung, number: int, curve: Curve, level: int) -> bool:
        """Put a trial among those of a rung. False where an objective is no number: the trial fails elsewhere, and must
        not push others out."""
        here = curve.epochs[-1]
        if not all(map(math.isfinite, self.goal.values(here.metrics))):
            return False
        fewest = min(here.samples, rung.samples or level)
        rung.curves[number] = curve
        again = {number: curve} if fewest == rung.samples else rung.curves
        rung.samples = fewest
        rung.standings |= {n: self._standing(c, fewest) for n, c in again.items()}
        if len(again) > 1 or any(number in fronts for fronts in rung.fronts):
            groups = ([n for n, at in rung.standings.items() if bool(self._unkept(at)) == fails] for fails in (0, 1))
            keep, fail = (Fronts(group, [self._vector(rung.standings[n]) for n in group]) for group in groups)
            rung.fronts = keep, fail
        else:
            standing = rung.standings[number]
            rung.fronts[bool(self._unkept(standing))].add(number, self._vector(standing))
        return True

    def _standing(self, curve: Curve, samples: int) -> _Standing:
        scales = [(o.metric, self._scales[o.metric]) for o in self.goal.objectives]
        progress = tuple(scale.progress(curve.at(metric, samples, scale.chance)) for metric, scale in scales)
        floors = {metric: self._counted(metric, floor, curve, samples) for metric, floor in self.goal.floors.items()}
        return _Standing(progress, floors)

    def _counted(self, metric: str, floor: float, curve: Curve, samples: int) -> float:
        """What a floor's metric counts for: up to the floor; under ``reach``, its projected value."""
        value = curve.at(metric, samples)
        if self.floors == "reach":
            value = curve.reach(metric, self.budget or samples * self.reduction)
        return 0.0 if math.isnan(value) else min(floor, value)

    def _order(self, rung: _Rung, passing: int, number: int) -> list[int]:
        """The trials of a rung, best first. A front is only spread out, which takes as long as it has pairs, where that
        decides who is among the first ``passing`` or where ``number`` stands."""
        order: list[int] = []
        for group in rung.fronts:
            for front, vectors in group:
                decides = len(order) < passing < len(order) + len(front) or number in front
                order += [front[i] for i in spread(vectors)] if decides else front
        return order

    def _unkept(self, standing: _Standing) -> list[str]:
        if self.floors == "ignore":
            return []
        return [metric for metric, floor in self.goal.floors.items() if standing.floors[metric] < floor]

    def _behind(self, metric: str, standing: _Standing, curve: Curve, samples: int) -> str:
        """Why a trial goes behind those that can keep this floor, with the figures that the verdict saw."""
        now, floor = curve.epochs[-1].metrics.get(metric, math.nan), self.goal.floors[metric]
        if not math.isfinite(now):
            return f"{metric} was not measured, so its floor of {floor:g} cannot be kept"
        if self.floors == "strict":
            return f"{metric} was {curve.at(metric, samples):.4f}, below its floor of {floor:.4g}"
        end = f"and at its slope would end at {standing.floors[metric]:.4f}, below its floor of {floor:.4g}"
        return f"{metric} was {now:.4f} {end}"

    def _vector(self, standing: _Standing) -> Vector:
        return standing.progress if self.floors == "ignore" else (*standing.progress, *standing.floors.values())


def _scale(mode: str) -> Scale:
    return Scale(0.0, 1.0) if mode == "max" else Scale(1.0, 0.0)  # losses are divided by their value at chance
