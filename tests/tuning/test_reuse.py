"""What a process that takes one trial after another keeps from each: nothing."""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import ray.tune
import torch

from raytune_planes.tracking.files import EPOCHS
from raytune_planes.tuning import trial
from tests.tuning.tiny import tiny_plan

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"budget.epochs": 1, "budget.steps_per_epoch": 3}
VARIED = ({"optim.lr": 1e-4}, {"optim.lr": 0.01, "model.dit.depth": 0}, {"precision": "bfloat16"}, {"seed": 5})


@pytest.mark.slow
def test_fifty_trials_in_one_process_leave_nothing_behind(tmp_path: Path) -> None:
    # A process of its own: what earlier tests left open in this one may close meanwhile.
    code = f"from tests.tuning.test_reuse import fifty_trials; fifty_trials({str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["after"] == seen["before"]
    assert seen["grown"] < 20, f"{seen['grown']:.0f} MiB over 40 trials"
    assert seen["last"] == seen["first"], "a trial's metrics depend on the trials before it"
    assert not list(tmp_path.glob(f"trials/*/{EPOCHS}")), "only the driver writes records"


def fifty_trials(folder: str) -> None:
    """Train trials one after the other in this process, and print what it keeps after ten and after fifty, as JSON."""
    told: list[dict[str, float]] = []
    ray.tune.report = lambda result: told.append(result["record"]["metrics"])
    plan = tiny_plan(Path(folder), fixed=QUICK)
    task = plan.task(Path(folder))
    process = psutil.Process()

    def run(number: int, **drawn: object) -> None:
        settings = {"optim.lr": 1e-3, **drawn}
        asked = {"trial_id": f"t{number}", "number": number, "drawn": settings, "pool": {"card": False}}
        task.folder(number, f"t{number}").mkdir(parents=True)  # as the driver does when it records a start
        trial.train_here({"asked": asked, "task": task})

    def state() -> dict[str, object]:
        gc.collect()
        return {
            "default dtype": str(torch.get_default_dtype()),
            "gradients": torch.is_grad_enabled(),
            "torch threads": torch.get_num_threads(),
            "threads": threading.active_count(),
            "open files": process.num_fds(),
            "Python's generator": hash(random.getstate()),
            "numpy's generator": np.random.get_state()[1].tobytes().hex(),  # type: ignore[index]
        }

    run(0)
    for number in range(1, 10):
        run(number, **VARIED[number % len(VARIED)])
    before, resident = state(), process.memory_info().rss
    for number in range(10, 50):
        run(number, **VARIED[number % len(VARIED)])
    after, grown = state(), (process.memory_info().rss - resident) / 2**20
    run(50)
    print(json.dumps({"before": before, "after": after, "grown": grown, "first": told[0], "last": told[50]}))


def test_a_trial_imports_no_library_that_it_does_not_need() -> None:
    code = (
        "import sys, tempfile\nfrom pathlib import Path\nimport ray.tune\n"
        "from ray.train.torch import TorchTrainer\n"
        "from ray.tune.integration.ray_train import TuneReportCallback\n"
        "from raytune_planes.tuning import reaper, trial, worker\nfrom tests.tuning.tiny import tiny_plan\n"
        "ray.tune.report = lambda told: None\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        f"    plan = tiny_plan(Path(folder), fixed={QUICK!r})\n"
        "    asked = {'trial_id': 'a', 'number': 0, 'drawn': {}, 'pool': {'card': False}}\n"
        "    task = plan.task(Path(folder))\n"
        "    task.folder(0, 'a').mkdir(parents=True)\n"
        "    assert trial.train_here({'asked': asked, 'task': task})['end'] == 'completed'\n"
        "heavy = {'transformers', 'mlflow', 'matplotlib', 'torchvision', 'optuna', 'sklearn'}\n"
        "heavy |= {'tensorboardX', 'torch._dynamo', 'torch._inductor', 'scipy.stats', 'scipy.optimize'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
