"""How busy a study of eight trials keeps the cores that it may use."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from raytune_planes.errors import UserError
from raytune_planes.terminal import PlainView
from raytune_planes.tracking.base import Trackers
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.mlflow import MlflowTracker
from raytune_planes.tuning.study import run_study
from tests.benchmarks.tables import Aim, Missing, Table
from tests.tuning.tiny import tiny_plan

TRIALS = 8
WORK = {"budget.epochs": 6, "budget.batch_size": 16, "stopping.rule": "none"}


def measure(quick: bool) -> Table:
    fixed = {**WORK, "budget.steps_per_epoch": 30 if quick else 150}
    with tempfile.TemporaryDirectory() as folder:
        plan = tiny_plan(Path(folder), fixed=fixed, trials=TRIALS)
        trackers = Trackers(JsonlTracker(plan.out), MlflowTracker(plan.out))
        try:
            outcome = run_study(plan, view=PlainView(io.StringIO()), trackers=trackers)
        except UserError as error:
            raise Missing(str(error)) from None
    available = outcome.cores * outcome.seconds
    busy, wanted = outcome.used.busy_s / available, (outcome.used.busy_s + outcome.used.waited_s) / available
    rows = [
        ("on a core", f"{outcome.used.busy_s:.0f}", f"{busy:.2f}"),
        ("ready, while other programs had it", f"{outcome.used.waited_s:.0f}", f"{wanted - busy:.2f}"),
    ]
    figures = {"busy": busy, "busy or ready": wanted, "seconds": outcome.seconds, "cores": outcome.cores}
    notes = (
        f"{TRIALS} trials, {outcome.cores:g} at once, from the start of the first to the end of the last; in between: "
        "start of the processes, suggestions, records",
        f"as the study tells it: {outcome.parallelism}",
    )
    aims = [Aim("cores busy, or wanted where others had them", wanted, 0.9, at_least=True)]
    return Table("cores", ("trials were", "core-s", "of all"), rows, figures, notes, aims)
