"""One dataset trained alone, as a study compares with it and learns from it; all that is known of it are its files."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from raytune_planes.catalog import primary_metric
from raytune_planes.config import TrialConfig
from raytune_planes.errors import UserError
from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord, metric
from raytune_planes.settings import Value, flatten, make_config, only
from raytune_planes.tasks import TASKS
from raytune_planes.tracking.files import CONFIG, LAST, WEIGHTS, load_json, save_json, write_whole
from raytune_planes.tracking.jsonl import dotted_yaml
from raytune_planes.tracking.reading import MALFORMED
from raytune_planes.tracking.reference_files import write_reference
from raytune_planes.tracking.steps import StepFile
from raytune_planes.training.checkpoint import Checkpoint, load
from raytune_planes.training.folds import train_trial
from raytune_planes.training.mixing import Mixer
from raytune_planes.training.writing import Writer
from raytune_planes.tuning.entries import open_entries
from raytune_planes.tuning.failures import explain
from raytune_planes.tuning.leaving import LEFT, HostLeaves, leave_if_told
from raytune_planes.tuning.trial import Task

RESULT = "result.json"
READ = ("start", "model.backbone.weights", "text.model", "text.templates")
"""Settings that may name a file or folder whose content decides a training; ``fingerprint`` tells of the pictures."""


def train_alone(task: Task, first: Mapping[str, Value], name: str, folder: Path) -> dict[str, Any]:
    """Train the dataset ``name`` alone in this process, with as many of its samples as trial 0 draws.

    Args:
        first: the settings of trial 0 that the space varies.
        folder: where its records, result and best weights are kept; an interrupted training continues from there.

    Returns:
        ``metrics``: of the validation split at the epoch that is best in the dataset's primary metric, with
        ``samples``; or ``failed`` with the reason; or ``left`` with the host that is about to end.
    """
    from raytune_planes.tuning.worker import make_worker

    try:
        folder.mkdir(parents=True, exist_ok=True)
        config = alone(task, first, name)
        write_whole(folder / CONFIG, dotted_yaml(flatten(config), f"{name} alone"))
        goal, epochs = Goal((Objective(primary(name, config)),)), []
        record = TrialRecord(folder.name, 0, {}, flatten(config), started_ms=int(time.time() * 1000))

        def keep(record: EpochRecord, checkpoint: Checkpoint) -> None:
            epochs.append(record)
            state = {**checkpoint.state, "alone": [e.to_json() for e in epochs]}
            writer.save(replace(checkpoint, state=state), folder)
            steps.clear()
            leave_if_told()

        last = folder / LAST
        epochs += _epochs_of(last) if last.is_file() else []
        worker = make_worker(1, config.devices.vision, holds_card=task.holds_card)
        worker.watch = steps = StepFile(folder, lambda: len(epochs))
        more: dict[str, Any] = {"worker": worker, "resume": last if epochs else None}
        with Writer() as writer:
            end, reason = train_trial(config, task.supply, goal, report=keep, **more)
        if end is End.FAILED:
            return {"failed": reason}
        record = replace(record, epochs=tuple(epochs), end=end, reason=reason, ended_ms=int(time.time() * 1000))
        best = record.best(goal)
        assert best is not None, "a training that ended has epochs"
        write_reference(record, name, folder)
        result = {"metrics": dict(best.metrics), "samples": epochs[-1].samples, "epoch": best.epoch}
    except HostLeaves as leaving:
        return {LEFT: str(leaving)}
    except Exception as error:
        return {"failed": explain(error)}
    save_json(folder / RESULT, result)
    last.unlink(missing_ok=True)
    return result


def alone(task: Task, first: Mapping[str, Value], name: str) -> TrialConfig:
    """The configuration of trial 0 with ``name`` as its one dataset, which gets the steps that trial 0 begins with."""
    joint = task.config(first)
    arrays = open_entries(task.entries, joint, task.data) if joint.mixing.rule == "temperature" else {}
    sizes = {d: int(a.splits["train"].size) for d, a in arrays.items()}
    shares = {d: settings.share for d, settings in joint.active.items()}
    part = Mixer(joint.mixing, joint.stopping, shares, sizes).shares()[name]
    steps = max(1, round(part * joint.budget.steps_per_epoch))
    own = {"stopping.rule": "none", "budget.steps_per_epoch": steps, f"datasets.{name}.teacher": ""}
    for each in (task for task in TASKS.values() if task.taught):  # it is the specialist
        own |= {f"losses.{each.name}.{key}": value for key, value in flatten(each.settings()).items()}
        own[each.weight] = 0.0
    layers = (*task.layers, first)
    return make_config(*layers, only([name], *layers), own, source=f"{name} alone")


def folder_name(name: str, config: TrialConfig, fingerprint: str) -> str:
    """Of the training of ``name`` alone by ``config``, the same for every study that would train the same."""
    return f"{name}-{_key(config, fingerprint)}"


def _key(config: TrialConfig, fingerprint: str) -> str:
    """A short hash of what determines the training: its settings, except absent datasets, the files that these name,
    and its pictures."""
    others = tuple(f"datasets.{name}." for name in config.datasets if name not in config.active)
    flat = {k: v for k, v in flatten(config).items() if not k.startswith(others)}
    files = {path: _digest(Path(str(flat[path])).expanduser()) for path in READ if flat.get(path)}
    told = [flat, fingerprint, *filter(None, [{path: content for path, content in files.items() if content}])]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder; empty for a word that names neither."""
    found = hashlib.sha256()
    if path.is_dir():
        for file in sorted(each for each in path.rglob("*") if each.is_file()):
            found.update(f"{file.relative_to(path)} {_digest(file)}\n".encode(errors="surrogateescape"))
    elif path.is_file():
        with path.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256")
    else:
        return ""
    return found.hexdigest()


def result_of(folder: Path) -> dict[str, Any]:
    """What ``train_alone`` returned for an earlier study; empty where there is none that can be read."""
    path = folder / RESULT
    try:
        return load_json(path) if path.is_file() else {}
    except (OSError, *MALFORMED):
        return {}


def why_no_teacher(folder: Path) -> str:
    """Why no training can learn from the weights in ``folder``; empty where it can."""
    try:
        load(folder / WEIGHTS)
    except UserError as error:
        return str(error)
    return ""


def primary(name: str, config: TrialConfig) -> str:
    """The metric that a dataset is judged by."""
    return metric("val", name, primary_metric(name, config.datasets[name].reader))


def _epochs_of(last: Path) -> list[EpochRecord]:
    """Of a training that was cut off."""
    return [EpochRecord.from_json(each) for each in load(last).get("alone", ())]
