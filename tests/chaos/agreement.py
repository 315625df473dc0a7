"""Whether a study's three memories (records, Optuna, MLflow) agree, and whether two studies went the same way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import optuna
from mlflow.entities import Run

from raytune_planes.records import End, TrialRecord
from raytune_planes.tracking import read_study
from raytune_planes.tracking.mlflow_connection import connect

STATES = {End.COMPLETED: "COMPLETE", End.CONVERGED: "COMPLETE", End.PRUNED: "PRUNED", End.FAILED: "FAIL"}


def disagreements(folder: Path, uri: str, trials: int) -> list[str]:
    """What does not fit between the records in ``folder``, its Optuna database and the store at ``uri``."""
    study = read_study(folder)
    found = [f"records: {warning}" for warning in study.warnings]
    if [t.number for t in study.trials] != list(range(trials)):
        found.append(f"records: trials {[t.number for t in study.trials]}")
    found += [f"trial {t.number} is {t.end}: {t.reason}" for t in study.trials if t.end not in STATES]
    for t in study.trials:
        if [e.epoch for e in t.epochs] != list(range(1, len(t.epochs) + 1)):
            found.append(f"trial {t.number}: epochs {[e.epoch for e in t.epochs]}")
        lines = (folder / "trials" / f"{t.number:04d}-{t.trial_id}" / "epochs.jsonl").read_bytes().splitlines()
        if len(lines) != len(t.epochs):
            found.append(f"trial {t.number}: {len(lines)} lines for {len(t.epochs)} epochs")
    found += _optuna(folder, study.trials)
    found += _mlflow(uri, study.start.study_id, study.trials)
    return found


def differences(one: Path, other: Path) -> list[str]:
    """In what two studies differ: settings, ends, and every metric of every epoch, bit for bit."""
    mine, theirs = (read_study(folder).trials for folder in (one, other))
    found = [] if len(mine) == len(theirs) else [f"{len(mine)} trials and {len(theirs)}"]
    for a, b in zip(mine, theirs, strict=False):
        pairs = {
            "drawn": (dict(a.drawn), dict(b.drawn)),
            "config": (dict(a.config), dict(b.config)),
            "end": (a.end, b.end),
            "reason": (a.reason, b.reason),
            "epochs": (_course(a), _course(b)),
        }
        found += [f"trial {a.number}: {what}: {x} and {y}" for what, (x, y) in pairs.items() if x != y]
    return found


def _course(trial: TrialRecord) -> list[Any]:
    return [(e.epoch, e.step, e.samples, dict(e.metrics), e.resting, e.decisions) for e in trial.epochs]


def _optuna(folder: Path, trials: tuple[TrialRecord, ...]) -> list[str]:
    known = optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder.resolve()}/optuna.db").trials
    found = []
    if [t.user_attrs.get("trial_id") for t in known] != [t.trial_id for t in trials]:
        found.append(f"Optuna: ids {[t.user_attrs.get('trial_id') for t in known]}")
    for mine, theirs in zip(trials, known, strict=False):
        if STATES.get(mine.end) != theirs.state.name:
            found.append(f"trial {mine.number} is {mine.end}, Optuna has {theirs.state.name}")
        if theirs.user_attrs.get("end") != mine.end:
            found.append(f"trial {mine.number} is {mine.end}, Optuna was told {theirs.user_attrs.get('end')}")
    return found


def _mlflow(uri: str, study_id: str, trials: tuple[TrialRecord, ...]) -> list[str]:
    client = connect(uri)
    experiment = client.get_experiment_by_name("raytune-planes")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], f"tags.study_id = '{study_id}'")
    kinds = Counter(r.data.tags["kind"] for r in runs)
    found = [] if kinds == {"study": 1, "trial": len(trials)} else [f"MLflow: runs {dict(kinds)}"]
    by_id = {r.data.tags.get("trial_id"): r for r in runs}
    for trial in trials:
        run = by_id.get(trial.trial_id)
        found += _run(client, run, trial) if run else [f"MLflow: no run of trial {trial.number}"]
    return found


def _run(client: Any, run: Run, trial: TrialRecord) -> list[str]:
    found = []
    if run.data.tags.get("end") != trial.end:
        found.append(f"MLflow: trial {trial.number} is {run.data.tags.get('end')}, on record {trial.end}")
    for key in {key for e in trial.epochs for key in e.metrics}:
        history = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, key)]
        wanted = [(e.epoch, e.metrics[key]) for e in trial.epochs if key in e.metrics]
        if sorted(history) != sorted(wanted):
            found.append(f"MLflow: trial {trial.number}: {key}: {history}, on record {wanted}")
    for key in (k for k in run.data.metrics if k.startswith("best") or k in ("score", "penalised_score", "feasible")):
        if len(client.get_metric_history(run.info.run_id, key)) != 1:
            found.append(f"MLflow: trial {trial.number}: {key} was logged more than once")
    return found
