"""Datasets trained alone, as runs of MLflow: sent by the first study that has them, linked to by the others."""

from __future__ import annotations

import logging
from pathlib import Path

from raytune_planes.catalog import primary_metric
from raytune_planes.records import Goal, Objective, TrialRecord, metric
from raytune_planes.tracking import mlflow_fields
from raytune_planes.tracking.base import StudyStart
from raytune_planes.tracking.mlflow_fields import Point
from raytune_planes.tracking.mlflow_runs import DONE, Runs, Sent, kept_files
from raytune_planes.tracking.reference_files import DATASET, references_of

log = logging.getLogger(__name__)

REFERENCE = "reference"
"""Value of the tag ``kind`` of runs in which a dataset was trained alone, and begins the study's tags that link to
them: ``reference.fgvc``."""


def push_references(runs: Runs, parent: str, known: dict[str, Sent], study: Path) -> set[str]:
    """Send what the store lacks of the references of the study in the folder ``study``, and link the study to them.

    Args:
        parent: the run of the study, which gets a tag ``reference.<dataset>`` with the id of each reference's run.
        known: the runs of references that were found or made so far, by the id of the reference; it grows.

    Returns:
        The names of the runs that got anything.
    """
    changed, links = set[str](), dict[str, str]()
    for folder, record in references_of(study):
        if isinstance(record, str):
            log.warning("%s cannot be sent to MLflow: %s; the study keeps its metrics", folder, record)
            continue
        sent = known.get(record.trial_id) or _found(runs, record) or _made(runs, record, parent)
        known[record.trial_id] = sent
        links[f"{REFERENCE}.{record.tags[DATASET]}"] = sent.run_id
        if sent.digest != mlflow_fields.digest(record):
            changed.add(_name(record))
            _push(runs, sent, record, folder)
    have = runs.client.get_run(parent).data.tags if links else {}
    runs.log(parent, tags={key: run_id for key, run_id in links.items() if have.get(key) != run_id})
    return changed


def _found(runs: Runs, record: TrialRecord) -> Sent | None:
    """The run that another study made for it."""
    there = runs.found("reference_id", record.trial_id)
    return Sent.of(there[0]) if there else None


def _made(runs: Runs, record: TrialRecord, parent: str) -> Sent:
    tags = _tags(runs.start, record) | {"mlflow.parentRunId": parent}
    return Sent(runs.new(_name(record), tags, record.started_ms), epochs=set())


def _push(runs: Runs, sent: Sent, record: TrialRecord, folder: Path) -> None:
    if not sent.was_there:
        runs.log(sent.run_id, params=mlflow_fields.params(runs.start, record))
    runs.push_epochs(sent, record)
    runs.log(sent.run_id, points=runs.new_points(sent, _points(record)))
    runs.push_files(sent.run_id, kept_files(folder), folder)
    runs.set_status(sent, mlflow_fields.STATUS[record.end], record.ended_ms)
    digest = mlflow_fields.digest(record)
    runs.log(sent.run_id, tags={**mlflow_fields.end_tags(record), DONE: digest})
    sent.digest = digest


def _tags(start: StudyStart, record: TrialRecord) -> dict[str, str]:
    """Of a dataset trained alone, which the study ``start`` was the first to send: later studies link to it."""
    own = {"kind": REFERENCE, REFERENCE: "alone", "reference_id": record.trial_id}
    return {**mlflow_fields.study_tags(start), **own, DATASET: record.tags[DATASET]}


def _name(record: TrialRecord) -> str:
    return f"{record.tags[DATASET]} alone"


def _points(record: TrialRecord) -> list[Point]:
    """The result of a dataset trained alone, at its best epoch; it has no score among the trials."""
    name = record.tags[DATASET]
    primary = primary_metric(name, str(record.config.get(f"datasets.{name}.reader", "")))
    epoch = record.best(Goal((Objective(metric("val", name, primary)),)))
    values = mlflow_fields.best_values(epoch) | {"best_epoch": float(epoch.epoch)} if epoch else {}
    return [(key, value, record.ended_ms, 0) for key, value in values.items()]
