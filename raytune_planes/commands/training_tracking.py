"""A training outside of a search in MLflow: its run, with metrics, settings and files, where a store is named."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from raytune_planes.addresses import without_secrets
from raytune_planes.errors import UserError
from raytune_planes.records import End, Goal, TrialRecord
from raytune_planes.settings import defaults
from raytune_planes.tracking.base import DataDescription, StudyEnd, StudyStart
from raytune_planes.tracking.mlflow import push_records
from raytune_planes.tracking.mlflow_place import URI, MlflowPlace
from raytune_planes.tracking.reading import StudyFiles


def named_place(out: Path, uri: str | None, experiment: str | None) -> MlflowPlace | None:
    """The store that was typed or that the environment names; None where neither is: files hold all of it."""
    place = MlflowPlace.of(out, uri, experiment)
    return place if uri or URI in place.variables else None


def send(
    record: TrialRecord, goal: Goal, data: Mapping[str, DataDescription], out: Path, place: MlflowPlace, commit: str
) -> str:
    """Send the training in ``out`` to MLflow; what is there already is not sent again. Returns a sentence for people:
    a store that is away costs the training nothing.
    """
    began = record.epochs[0].time_ms if record.epochs else 0  # a training that goes on keeps it, and so its run
    about = "/".join(out.resolve().parts[-2:])
    known = defaults()
    drawn = {path: value for path, value in record.config.items() if known.get(path, None) != value}
    trial = replace(record, number=1, drawn=drawn, started_ms=began, ended_ms=int(time.time() * 1000))
    start = StudyStart(about, goal, about="One training", data=data, commit=commit, started_ms=began, trials=1)
    end = End.FAILED if record.end is End.FAILED else End.COMPLETED
    study = StudyFiles(out, start, (trial,), StudyEnd(end, record.reason, trial.ended_ms))
    where = f"MLflow at {without_secrets(place.uri)}"
    try:
        push_records(study, place, {trial.trial_id: out})
    except UserError as error:
        return f"{where} did not take the training: {error}. Its files are complete"
    return f"{where} has the training, as '{about}' in experiment '{place.experiment}'"
