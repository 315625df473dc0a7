"""Five ways to search on LCBench's learning curves, in simulated time: which is where random search ends, soonest?

The curves are those of the surrogate in YAHPO Gym (Pfisterer et al. 2022) of LCBench (Zimmer et al. 2021), with the
training time that it predicts. Each method is driven through the calls that its own driver makes: Ray's objects as
``ray.tune`` calls them, Optuna's as ``study.optimize`` does, ours as ``tuning.callbacks.Recorder`` does.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import optuna

from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.space import Dimension, Space
from raytune_planes.space.dimension import AtRandom, suggest
from raytune_planes.tuning.rungs import Rungs
from raytune_planes.tuning.samplers import quiet
from raytune_planes.tuning.search import Search, Suggestion
from tests.oracle.simulator import Course, Ours, Strategy, simulate

METRIC = "val/lcbench/accuracy"
GOAL = Goal((Objective(METRIC),))
EPOCHS = 52
FULL_TRAININGS, WORKERS = 50, 4
DIMENSIONS = (
    Dimension("batch_size", "int", 16, 512, log=True),
    Dimension("learning_rate", "float", 1e-4, 1e-1, log=True),
    Dimension("momentum", "float", 0.1, 0.99),
    Dimension("weight_decay", "float", 1e-5, 1e-1),
    Dimension("num_layers", "int", 1, 5),
    Dimension("max_units", "int", 64, 1024, log=True),
    Dimension("max_dropout", "float", 0.0, 1.0),
)
"""Names, ranges and order as in the surrogate's ``config_space.json`` and its inputs."""
GRACE, REDUCTION = 5, 3
"""Epochs of our first rung (a tenth of a trial), and our reduction."""


class Curves(Protocol):
    """What the methods are tried on."""

    def curve(self, task: str, drawn: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Validation accuracy in [0, 1] and seconds of each epoch, both [EPOCHS]."""
        ...


class Surrogate:
    """The learning curve of a configuration on a task.

    Raises:
        FileNotFoundError, ImportError: the model or the package that runs it is not here.
    """

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._codes = json.loads((folder / "encoding.json").read_text(encoding="utf-8"))["OpenML_task_id"]
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)

    def curve(self, task: str, drawn: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        values = [float(drawn[d.path]) for d in DIMENSIONS]
        continuous = np.array([[epoch, *values] for epoch in range(1, EPOCHS + 1)], np.float32)
        codes = np.full((EPOCHS, 1), self._codes[task], np.int32)
        output = self._session.run(None, {"x_cat": codes, "x_cont": continuous})[0]
        elapsed = np.maximum.accumulate(output[:, 0].astype(float))
        return output[:, 1].astype(float) / 100, np.maximum(np.diff(elapsed, prepend=0.0), 1e-3)


def folder() -> Path:
    """Where the surrogate is: ``RAYTUNE_PLANES_LCBENCH``, else ``../shared/lcbench`` beside the repository."""
    named = os.environ.get("RAYTUNE_PLANES_LCBENCH")
    return Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "lcbench"


def course(curves: Curves, task: str) -> Course:
    """Trials on ``task``; an epoch counts as one sample."""

    def train(asked: Suggestion) -> Iterator[tuple[EpochRecord, End | None]]:
        accuracy, seconds = curves.curve(task, asked.drawn)
        for i in range(EPOCHS):
            epoch = EpochRecord(i + 1, i + 1, i + 1, {METRIC: float(accuracy[i])}, seconds=float(seconds[i]))
            yield epoch, End.COMPLETED if i + 1 == EPOCHS else None

    return train


def full_training(curves: Curves, task: str) -> float:
    """Mean seconds of a full training, over a fixed draw of 200 configurations."""
    space, draw = Space("lcbench", "", GOAL, {}, DIMENSIONS), AtRandom(0)
    return statistics.fmean(float(curves.curve(task, suggest(space, draw))[1].sum()) for _ in range(200))


def ours(
    seed: int,
    *,
    sampler: str = "tpe",
    options: Mapping[str, Any] | None = None,
    grace: int | None = GRACE,
    reduction: int = REDUCTION,
) -> Ours:
    """Our search and rungs. LCBench has no defaults to begin with: the first trial is drawn like the others."""
    first = suggest(Space("lcbench", "", GOAL, {}, DIMENSIONS), AtRandom(seed))
    space = Space("lcbench", "", GOAL, {}, DIMENSIONS, start=first)
    rungs = Rungs(GOAL, grace, reduction, budget=EPOCHS) if grace else None
    return Ours(Search(space, sampler=sampler, options=options, seed=seed), rungs)


def _distributions() -> dict[str, optuna.distributions.BaseDistribution]:
    real, whole = optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution
    return {
        d.path: real(d.low, d.high, log=d.log) if d.kind == "float" else whole(int(d.low), int(d.high), log=d.log)
        for d in DIMENSIONS
    }


class RayTune:
    """``ASHAScheduler`` as it comes, over Ray's ``OptunaSearch`` as it comes or over random configurations."""

    def __init__(self, seed: int, *, model: bool) -> None:
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        sampler = None if model else optuna.samplers.RandomSampler(seed=seed)
        with quiet():
            self._search = OptunaSearch(
                _distributions(), "accuracy", "max", sampler=sampler, seed=seed if model else None
            )
        self._asha = ASHAScheduler("training_iteration", "accuracy", "max", max_t=EPOCHS)
        self._number = 0

    def ask(self) -> Suggestion:
        trial_id, number, self._number = f"t{self._number}", self._number, self._number + 1
        with quiet():
            drawn = self._search.suggest(trial_id)
        assert drawn is not None
        self._asha.on_trial_add(None, SimpleNamespace(trial_id=trial_id))
        return Suggestion(trial_id, number, dict(drawn))

    def report(self, trial: Suggestion, epoch: EpochRecord, final: bool) -> bool:
        result = _result(epoch)
        stop = self._asha.on_trial_result(None, SimpleNamespace(trial_id=trial.trial_id), result) == "STOP"
        if not stop:  # as TuneController does: the result that stops a trial is not passed on
            self._search.on_trial_result(trial.trial_id, result)
        return bool(stop)

    def tell(self, record: TrialRecord) -> None:
        result = _result(record.epochs[-1])
        self._asha.on_trial_complete(None, SimpleNamespace(trial_id=record.trial_id), result)
        with quiet():
            self._search.on_trial_complete(record.trial_id, result)


def _result(epoch: EpochRecord) -> dict[str, float]:
    return {"training_iteration": epoch.epoch, "accuracy": epoch.metrics[METRIC]}


@dataclass
class Optuna:
    """Optuna alone: its default sampler, and its Hyperband pruner told the largest resource."""

    seed: int
    _open: dict[str, optuna.Trial] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with quiet():
            self._study = optuna.create_study(
                direction="maximize",
                sampler=optuna.samplers.TPESampler(seed=self.seed),
                pruner=optuna.pruners.HyperbandPruner(max_resource=EPOCHS),
                study_name=f"lcbench-{self.seed}",  # the pruner draws a trial's bracket from it
            )

    def ask(self) -> Suggestion:
        with quiet():
            trial = self._study.ask(_distributions())
        self._open[str(trial.number)] = trial
        return Suggestion(str(trial.number), trial.number, dict(trial.params))

    def report(self, trial: Suggestion, epoch: EpochRecord, final: bool) -> bool:
        self._open[trial.trial_id].report(epoch.metrics[METRIC], epoch.epoch)
        return not final and self._open[trial.trial_id].should_prune()

    def tell(self, record: TrialRecord) -> None:
        trial, pruned = self._open.pop(record.trial_id), record.end is End.PRUNED
        with quiet():
            if pruned:
                self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                self._study.tell(trial, record.epochs[-1].metrics[METRIC])


METHODS: Mapping[str, Callable[[int], Strategy]] = {
    "random": lambda seed: ours(seed, sampler="random", grace=None),
    "random + ASHA": lambda seed: RayTune(seed, model=False),
    "OptunaSearch + ASHA": lambda seed: RayTune(seed, model=True),
    "Optuna + Hyperband": Optuna,
    "ours, grace 0.25": lambda seed: ours(seed, grace=EPOCHS // 4),
    "ours": ours,
}


@dataclass(frozen=True)
class Run:
    """How one search went: each improvement of the best accuracy that any trial has shown, and when."""

    clock: tuple[float, ...]
    """Simulated seconds as shares of the whole budget's."""
    best: tuple[float, ...]
    trials: int

    @property
    def final(self) -> float:
        return self.best[-1]

    def time_to(self, target: float) -> float:
        """When ``target`` was reached; 1 when only at the end, and counted as 1 when never."""
        return next((clock for clock, best in zip(self.clock, self.best, strict=True) if best >= target), 1.0)


def run(curves: Curves, task: str, strategy: Strategy, seconds: float) -> Run:
    """One search with a budget of ``seconds`` over all workers."""
    clock, best, trials = [0.0], [-math.inf], set()
    for moment in simulate(strategy, course(curves, task), workers=WORKERS, seconds=seconds):
        trials.add(moment.trial.number)
        value = moment.trial.epochs[-1].metrics[METRIC]
        if value > best[-1]:
            clock.append(min(1.0, moment.clock * WORKERS / seconds))
            best.append(value)
    return Run(tuple(clock), tuple(best), len(trials))
