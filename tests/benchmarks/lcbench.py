"""LCBench's learning curves, searched in simulated time: by our own search here, by others in ``rivals.py``.

The curves are those of the surrogate in YAHPO Gym (Pfisterer et al. 2022) of LCBench (Zimmer et al. 2021), with the
training time that it predicts.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from raytune_planes.records import End, EpochRecord, Goal, Objective
from raytune_planes.space import Dimension, RungSettings, Space
from raytune_planes.space.dimension import AtRandom, suggest
from raytune_planes.tuning.rungs import Rungs
from raytune_planes.tuning.search import Search, Suggestion
from tests.benchmarks.tables import Missing
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
FIRST, REDUCTION = 5, 3
"""Epochs of the other methods' first rung, and their reduction. After one epoch these networks are as good as
untrained: their ranks correlate with those after the last epoch by 0.06, after five epochs by 0.84."""


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


def opened() -> Surrogate:
    """The surrogate. Raises Missing when it, or onnxruntime, is not here."""
    where = folder()
    if not (where / "model.onnx").is_file():
        raise Missing(f"no model.onnx in {where}; set RAYTUNE_PLANES_LCBENCH to the surrogate's folder")
    try:
        return Surrogate(where)
    except ImportError:
        raise Missing("the package onnxruntime is not installed; uv sync --group bench") from None


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
    grace: int | None = None,
    rungs: bool = True,
    kind: type[Rungs] = Rungs,
) -> Ours:
    """Our search, and rungs as they are in a study unless ``grace`` (epochs) says otherwise. LCBench has no defaults
    to begin with: the first trial is drawn like the others."""
    first = suggest(Space("lcbench", "", GOAL, {}, DIMENSIONS), AtRandom(seed))
    space = Space("lcbench", "", GOAL, {}, DIMENSIONS, start=first)
    settings = RungSettings()
    first_rung = grace or round(settings.grace * EPOCHS)
    judge = kind(GOAL, first_rung, settings.reduction, budget=EPOCHS) if rungs else None
    return Ours(Search(space, sampler=sampler, options=options, seed=seed), judge)


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
