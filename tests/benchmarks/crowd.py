"""What Ray Tune and we cost the driver at the pace of 400 trials, with as many processes of trials as fit here.

The trials are stubs in processes of their own, on hosts that are processes of this machine; all else is the product's.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.terminal import PlainView
from raytune_planes.tracking.base import StudyEnd, StudyStart, Trackers
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.mlflow import MlflowTracker
from raytune_planes.tuning import callbacks, searcher, study
from raytune_planes.tuning.cores import CoreTime
from tests.benchmarks.scale import AT_ONCE, EPOCHS, EVERY_S
from tests.benchmarks.tables import Aim, Missing, Table
from tests.tuning.hosts import SIZE, loopback, with_a_head
from tests.tuning.tiny import GOAL, tiny_plan

CPUS = 2
"""Of each host: so many trials run on it."""
RECORDER = (
    "on_step_begin",
    "on_trial_start",
    "on_trial_result",
    "on_trial_complete",
    "on_trial_error",
    "on_trial_recover",
)
OTHERS = "Tune's loop, in the same thread"


def stub(suggested: Mapping[str, Any], task: Any, every_s: float) -> dict[str, Any]:
    """In place of ``run_trial``: tells of an epoch every ``every_s`` seconds and trains nothing."""
    from ray import tune

    began, before = time.monotonic(), CoreTime.now()
    names = [f"train/total/m{i}" for i in range(7)] + [o.metric for o in GOAL.objectives] + list(GOAL.floors)
    for epoch in range(1, EPOCHS + 1):
        time.sleep(max(0.0, began + epoch * every_s - time.monotonic()))
        metrics = dict.fromkeys(names, (epoch + suggested["number"] % 7) / (EPOCHS + 7))
        record = EpochRecord(epoch, epoch * 30, epoch * 1000, metrics, seconds=every_s, time_ms=int(time.time() * 1000))
        cores = asdict(CoreTime.now().since(before))
        tune.report({"record": record.to_json(), "place": {"host": "here", "device": "cpu"}, "cores": cores})
    return {"end": End.COMPLETED.value, "reason": "trained for all its epochs"}


@dataclass
class Clock:
    """A tracker that says what the driver had used when all places were taken, and when the last trial began."""

    at_once: int
    trials: int
    ours: Counter[str]
    """Seconds of the main thread by what of ours was called."""
    epochs: int = 0
    started: int = 0
    ended: int = 0
    stamps: list[dict[str, float]] = field(default_factory=list)

    def start_study(self, start: StudyStart) -> None: ...

    def start_trial(self, trial: TrialRecord) -> None:
        self.started += 1
        is_full = self.started - self.ended == self.at_once
        if (is_full and not self.stamps) or self.started == self.trials:
            self._stamp()

    def log_epoch(self, trial_id: str, epoch: EpochRecord) -> None:
        self.epochs += 1

    def end_trial(self, trial: TrialRecord, artifacts: Sequence[Path] = ()) -> None:
        self.ended += 1

    def end_study(self, end: StudyEnd) -> None: ...

    def _stamp(self) -> None:
        python = {t.native_id for t in threading.enumerate()}
        threads = {t.id: t.user_time + t.system_time for t in psutil.Process().threads()}
        main = threading.main_thread().native_id
        self.stamps.append({
            "s": time.monotonic(), "epochs": float(self.epochs), "ended": float(self.ended),
            "all": sum(os.times()[:2]), "main": time.thread_time(),
            "MLflow and other threads of Python": sum(s for i, s in threads.items() if i in python and i != main),
            **{f"ours: {name}": used for name, used in self.ours.items()},
        })  # fmt: skip


def timed(kind: type[Any], names: Sequence[str], ours: Counter[str]) -> type[Any]:
    """``kind`` with the main thread's time in each of its methods ``names`` added up."""

    def wrapped(name: str, own: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            before = time.thread_time()
            try:
                return own(self, *args, **kwargs)
            finally:
                ours[name] += time.thread_time() - before

        return call

    return type(kind.__name__, (kind,), {name: wrapped(name, getattr(kind, name)) for name in names})


def crowd(at_once: int, trials: int, folder: Path) -> dict[str, float]:
    """Shares of one core by part while ``at_once`` trials report as often as 400 do, and the pace that was reached."""
    ours: Counter[str] = Counter(dict.fromkeys((*RECORDER, "suggest"), 0.0))
    clock = Clock(at_once, trials, ours)
    plan = tiny_plan(folder, fixed={"budget.epochs": EPOCHS, "stopping.rule": "none"}, trials=trials)
    trackers = Trackers(JsonlTracker(plan.out), MlflowTracker(plan.out), clock)
    with loopback():
        cluster = with_a_head()
        try:
            for _ in range(at_once // CPUS):
                cluster.add_node(num_cpus=CPUS, **SIZE)
            with (
                patch.dict(os.environ, {"RAY_ADDRESS": cluster.address}),
                patch.object(study, "run_trial", partial(stub, every_s=EVERY_S * at_once / AT_ONCE)),
                patch.object(study, "Recorder", timed(callbacks.Recorder, RECORDER, ours)),
                patch.object(study, "TuneSearcher", timed(searcher.TuneSearcher, ("suggest",), ours)),
            ):
                outcome = study.run_study(plan, view=PlainView(io.StringIO()), trackers=trackers)
        finally:
            cluster.shutdown()
    ends = Counter(t.end for t in outcome.study.trials)
    assert ends == {End.COMPLETED: trials}, ends
    if len(clock.stamps) < 2:
        raise Missing(f"{at_once} processes of trials did not start before {trials} trials had ended")
    before, after = clock.stamps
    spent = {name: after[name] - before[name] for name in after}
    seconds, reports, ended = spent.pop("s"), spent.pop("epochs"), spent.pop("ended")
    spent[OTHERS] = spent.pop("main") - sum(used for name, used in spent.items() if name.startswith("ours"))
    whole = spent.pop("all")
    spent["threads of Ray's core"] = whole - sum(spent.values())
    shares = {name: used / seconds for name, used in spent.items()}
    counts = {"reports a second": reports / seconds, "ends a second": ended / seconds, "seconds": seconds}
    return {**shares, "all": whole / seconds, "ms a report": 1000 * whole / reports, **counts}


def measure(quick: bool) -> Table:
    # A process of a trial takes 0.7 GiB.
    sizes, more = ((8,), 16) if quick else ((4, 12), 32)
    runs: dict[str, dict[str, float]] = {}
    for at_once in sizes:
        with tempfile.TemporaryDirectory(prefix="crowd-") as folder:
            runs[str(at_once)] = crowd(at_once, 2 * at_once + more, Path(folder))
    largest = runs[str(sizes[-1])]
    counted = ("ms a report", "reports a second", "ends a second", "seconds")
    parts = sorted((n for n in largest if n not in (*counted, "all")), key=lambda n: -largest[n])
    rows = [(name, *(f"{100 * run[name]:.1f}" for run in runs.values())) for name in (*parts, "all")]
    rows += [(name, *(f"{run[name]:.1f}" for run in runs.values())) for name in counted]
    header = ("% of a core", *(f"{size} at once" for size in runs))
    notes = (f"stub trials, as many reports and ends a second as of {AT_ONCE} with an epoch each {EVERY_S:.0f} s",)
    aims = [Aim("cores", largest["all"], 0.5)]
    return Table("the pace of 400 trials through Ray Tune", header, rows, runs, notes, aims)
