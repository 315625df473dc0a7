"""What a trial costs the driver as a study grows: search, rungs, budget, files and MLflow, each timed by itself.

Trials are stubs whose curves are drawn at random, eight at a time, taken through the driver's own parts in the order
in which Ray Tune's events come. Ray itself is left out: ``overhead`` has it.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from raytune_planes.commands.report import write_study
from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.report import summary
from raytune_planes.settings import flatten, make_config
from raytune_planes.space import Dimension, Space, StudySettings
from raytune_planes.tracking.base import StudyEnd, StudyStart
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.mlflow import MlflowTracker
from raytune_planes.tracking.reading import read_study
from raytune_planes.tuning.budget import Limits, StudyBudget
from raytune_planes.tuning.rungs import Rungs
from raytune_planes.tuning.search import Search
from tests.benchmarks.tables import Aim, Table

AT_ONCE, EPOCHS, METRICS, SAMPLES = 8, 4, 10, 1000
GOAL = Goal((Objective("val/fgvc/accuracy"), Objective("val/hrplanes/iou")), {"val/planesnet/accuracy": 0.5})
DIMENSIONS = (
    Dimension("optim.lr", "float", 1e-4, 1e-2, log=True),
    Dimension("datasets.fgvc.weight", "float", 0.5, 8.0, log=True),
    Dimension("datasets.fgvc.head.depth", "int", 0, 3),
    Dimension("datasets.fgvc.head.dropout", "float", 0.0, 0.5),
    Dimension("model.dit.depth", "int", 0, 3),
    Dimension("stopping.rule", "choice", choices=("none", "stop", "stop_and_go")),
)


@dataclass
class Study:
    """A study of stubs in ``folder``, and the processor seconds of the driver by part."""

    folder: Path
    trials: int
    epochs: int = EPOCHS
    seconds: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.space = Space("growth", "", GOAL, {}, DIMENSIONS, StudySettings(trials=self.trials))
        self.search = Search(self.space, self.folder / "optuna.db", limit=self.trials)
        budget = self.epochs * SAMPLES
        self.rungs = Rungs(GOAL, budget // 4, 3, budget=budget)
        limits = Limits(trials=self.trials, patience=10 * self.trials)
        self.budget = StudyBudget(limits, GOAL, time.monotonic)
        self.files = JsonlTracker(self.folder)
        self.mlflow = MlflowTracker(self.folder, patience_s=3600)
        self.known: dict[str, TrialRecord] = {}
        self.random = random.Random(0)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        before = time.thread_time()
        yield
        self.seconds[name] += time.thread_time() - before

    def run(self) -> None:
        start = StudyStart("growth", GOAL, searched=tuple(d.path for d in DIMENSIONS), started_ms=1)
        self.files.start_study(start)
        self.mlflow.start_study(start)
        running: list[str] = []
        before = time.process_time() - time.thread_time()
        while True:
            while len(running) < AT_ONCE and (trial := self._start()):
                running.append(trial)
            if not running:
                break
            trial_id = self.random.choice(running)
            if self._epoch(trial_id):
                running.remove(trial_id)
        with self.part("files"):
            self.files.end_study(StudyEnd())
        self.mlflow.end_study(StudyEnd())
        self.seconds["MLflow (its thread)"] = time.process_time() - time.thread_time() - before

    def _start(self) -> str | None:
        with self.part("suggest"):
            asked = self.search.ask()
        if asked is None:
            return None
        with self.part("settings"):
            flat = flatten(make_config(asked.drawn))
        record = TrialRecord(asked.trial_id, asked.number, asked.drawn, flat, started_ms=int(time.time() * 1000))
        self.known[asked.trial_id] = record
        self._tell(lambda tracker: tracker.start_trial(record))
        return asked.trial_id

    def _epoch(self, trial_id: str) -> bool:
        """One more epoch of a trial; whether that was its end."""
        record = self.known[trial_id]
        number = len(record.epochs) + 1
        epoch = self._measured(number)
        record = self.known[trial_id] = replace(record, epochs=(*record.epochs, epoch))
        self._tell(lambda tracker: tracker.log_epoch(trial_id, epoch))
        with self.part("report"):
            self.search.report(trial_id, epoch)
        with self.part("rungs"):
            verdict = self.rungs.judge(record.number, epoch, final=number == self.epochs)
        if verdict.stop or number == self.epochs:
            end = End.PRUNED if verdict.stop else End.COMPLETED
            record = self.known[trial_id] = replace(record, end=end, ended_ms=int(time.time() * 1000))
            self._tell(lambda tracker: tracker.end_trial(record))
            with self.part("tell"):
                self.search.tell(record)
        for _ in range(2):  # the recorder asks after every epoch, and before every event
            with self.part("budget"):
                self.budget.ended(self.known.values())
        return record.end is not End.RUNNING

    def _measured(self, number: int) -> EpochRecord:
        base = [f"train/total/m{i}" for i in range(METRICS - 3)]
        named = [o.metric for o in GOAL.objectives] + list(GOAL.floors)
        values = {name: self.random.random() * number / self.epochs for name in base + named}
        now = int(time.time() * 1000)
        return EpochRecord(number, number * 30, number * SAMPLES, values, seconds=1.0, time_ms=now)

    def _tell(self, call: Callable[[Any], None]) -> None:
        with self.part("files"):
            call(self.files)
        with self.part("MLflow (told)"):
            call(self.mlflow)


def grown(trials: int) -> tuple[dict[str, float], dict[str, float]]:
    """Milliseconds of the driver per trial by part; and figures of the finished study."""
    folder = Path(tempfile.mkdtemp(prefix="growth-"))
    try:
        study = Study(folder, trials)
        memory = psutil.Process().memory_info().rss
        study.run()
        assert threading.active_count() < 50
        ends: dict[str, float] = {"RSS grown, MiB": (psutil.Process().memory_info().rss - memory) / 2**20}
        before = time.process_time()
        found = read_study(folder / "growth")
        summary.as_text(found)
        ends["best, s"] = time.process_time() - before
        before = time.process_time()
        write_study(folder / "growth", with_pictures=False)
        ends["report, s"] = time.process_time() - before
        assert len(found.trials) == trials
        per = {name: 1000 * s / trials for name, s in study.seconds.items()}
        return {**per, "all": sum(per.values())}, ends
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(quick: bool) -> Table:
    sizes = (10, 100, 300) if quick else (10, 100, 1000)
    grown(3)  # imports and first calls
    runs = {size: grown(size) for size in sizes}
    parts = list(runs[sizes[-1]][0])
    rows = [(part, *(f"{runs[s][0][part]:.1f}" for s in sizes), _times(runs, sizes, part)) for part in parts]
    rows += [(name, *(f"{runs[s][1][name]:.2f}" for s in sizes), "") for name in runs[sizes[0]][1]]
    whole = runs[sizes[-1]][0]["all"] / runs[sizes[1]][0]["all"]
    figures = {str(size): {**per, **ends} for size, (per, ends) in runs.items()}
    header = ("driver ms a trial", *(f"{s} trials" for s in sizes), f"{sizes[2]} / {sizes[1]}")
    notes = (f"{EPOCHS} epochs of {METRICS} metrics, {AT_ONCE} trials at once; processor time",)
    aims = [Aim(f"driver time per trial, {sizes[2]} / {sizes[1]} trials", whole, 1.3)]
    return Table("growth of a study", header, rows, figures, notes, aims)


def _times(runs: dict[int, tuple[dict[str, float], dict[str, float]]], sizes: tuple[int, ...], part: str) -> str:
    last, middle = runs[sizes[-1]][0][part], runs[sizes[1]][0][part]
    return f"x{last / middle:.2f}" if middle else ""
