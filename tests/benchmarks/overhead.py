"""Processor time of a trial beyond its training: Ray's documented nesting beside a study of ours, on trivial trials."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from raytune_planes.errors import UserError
from raytune_planes.processors import allowed
from raytune_planes.terminal import PlainView
from raytune_planes.tracking.base import Trackers
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.mlflow import MlflowTracker
from raytune_planes.tuning.cluster import connected
from raytune_planes.tuning.study import run_study
from tests.benchmarks.measuring import Spent
from tests.benchmarks.tables import Aim, Missing, Table
from tests.tuning.tiny import tiny_plan

TRIALS, TRIES = 8, 5
TRIVIAL = {"budget.epochs": 3, "budget.steps_per_epoch": 1, "budget.batch_size": 2, "stopping.rule": "none"}
IMPORTS: Mapping[str, str] = {
    "Python": "pass",
    "and torch": "import torch",
    "and Ray Tune and Train": "import torch, ray.tune, ray.train.torch",
    "and our trial": "import torch, ray.tune, ray.train.torch, raytune_planes.tuning.trial",
    "and torch's compiler, as any torch.optim step would": (
        "import torch, ray.tune, ray.train.torch, raytune_planes.tuning.trial, torch._dynamo"
    ),
}


def ours(folder: Path, trials: int) -> dict[str, float]:
    """Processor seconds by process of a whole study with its files and MLflow, the driver's imports included."""
    imported = time.process_time()
    plan = tiny_plan(folder, fixed=TRIVIAL, trials=trials)
    trackers = Trackers(JsonlTracker(plan.out), MlflowTracker(plan.out))
    with Spent() as used:
        outcome = run_study(plan, view=PlainView(io.StringIO()), trackers=trackers)
    assert len(outcome.study.trials) == trials
    used.by_process["driver"] += imported
    return used.by_process


def nested(folder: Path, trials: int) -> dict[str, float]:
    """The same for a TorchTrainer of one worker inside a Tune function, as Ray's guide has it; no tracking."""
    imported = time.process_time()
    with Spent() as used, connected():
        from ray import tune

        # 1 CPU for the driver, the default, would leave none for the workers: a deadlock.
        trainable = tune.with_resources(_driver, {"memory": 200 * 2**20})
        tune.Tuner(
            trainable,
            param_space={"store": str(folder / "train"), "lr": tune.uniform(0.001, 0.1)},
            tune_config=tune.TuneConfig(num_samples=trials, max_concurrent_trials=allowed()),
            run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0),
        ).fit()
    used.by_process["driver"] += imported
    return used.by_process


def patiently(run: Callable[[Path, int], dict[str, float]], folder: Path, trials: int) -> dict[str, float]:
    """``run`` in a process of its own, imports included, and again when the machine was too busy for Ray to start."""
    for turn in range(TRIES):
        with ProcessPoolExecutor(1, get_context("spawn")) as pool, suppress(UserError, BrokenProcessPool):
            return pool.submit(run, folder / str(turn), trials).result()
        time.sleep(30)
    raise Missing(f"Ray did not start in {TRIES} tries: this machine is too busy")


def _driver(settings: dict[str, Any]) -> None:
    import ray.train
    from ray import tune
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    TorchTrainer(
        _loop,
        train_loop_config=settings,
        scaling_config=ray.train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 1}),
        run_config=ray.train.RunConfig(
            name=f"trial-{tune.get_context().get_trial_id()}",
            storage_path=settings["store"],
            callbacks=[TuneReportCallback()],
        ),
    ).fit()


def _loop(settings: dict[str, Any]) -> None:
    import ray.train
    import torch

    weight = torch.nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.AdamW([weight], lr=settings["lr"])
    for epoch in range(3):
        (weight - 1).square().sum().backward()
        optimizer.step()
        ray.train.report({"loss": float(weight.sum()), "epoch": epoch})


def imports() -> dict[str, float]:
    """Processor seconds of a fresh process that imports what stands on each line, the least of three."""
    return {name: min(_process(code) for _ in range(3)) for name, code in IMPORTS.items()}


def _process(code: str) -> float:
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def measure(quick: bool) -> Table:
    trials = 2 if quick else TRIALS
    seconds: dict[str, dict[str, float]] = {}
    for name, run in (("ours", ours), ("nesting", nested)):
        with tempfile.TemporaryDirectory() as folder:
            # A process for each: what one has imported would be a present to the other, and a Ray that did not start
            # on a busy machine may not start again in the same process.
            seconds[name] = patiently(run, Path(folder), trials)
    per = {name: sum(used.values()) / trials for name, used in seconds.items()}
    rows = [(f"{name}: all", f"{per[name]:.1f}") for name in per]
    for name, used in seconds.items():
        largest = sorted(used.items(), key=lambda item: -item[1])[:6]
        rows += [(f"{name}: {process}", f"{total / trials:.1f}") for process, total in largest]
    first = imports()
    rows += [(f"a process that imports {name}" if name == "Python" else name, f"{s:.1f}") for name, s in first.items()]
    figures = {"per trial": per, "by process": seconds, "imports": first}
    aims = [Aim("processor time per trial, ours / nesting", per["ours"] / per["nesting"], 0.1)]
    notes = (f"{trials} trials of three steps; a whole process that drives them, from its start, all imports included",)
    return Table("overhead of a trial", ("part", "processor s a trial"), rows, figures, notes, aims)
