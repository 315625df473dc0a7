"""The best trial's model in MLflow's registry, under the alias ``champion`` where no earlier one scored higher."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_planes.errors import UserError
from raytune_planes.records import TrialRecord
from raytune_planes.tracking import mlflow_fields, reading
from raytune_planes.tracking.gains import best_of
from raytune_planes.tracking.mlflow import push
from raytune_planes.tracking.mlflow_connection import connect
from raytune_planes.tracking.mlflow_model import LoggedModel, log_model
from raytune_planes.tracking.mlflow_place import MlflowPlace
from raytune_planes.tracking.mlflow_store import MlflowStore
from raytune_planes.tracking.reading import StudyFiles

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

MODEL = "raytune-planes"
"""Name in the registry: ``models:/raytune-planes@champion``."""
CHAMPION = "champion"
IDENTITY = ("study", "study_id", "trial_id")
"""Tags that tell which trial's model a version is."""
SYNTHETIC = "Of synthetic pictures, drawn by this program: its quality on real pictures is unknown."


def register_champion(
    folder: Path, model: LoggedModel, uri: str | None = None, experiment: str | None = None
) -> tuple[str, str]:
    """Log the model of the best trial of the study in ``folder`` and register it.

    It gets the alias unless the version that has it scored higher when the same goal was asked of the same data.

    Args:
        folder: The study's; all its trials are sent to the store first.
        model: The best trial's.
        uri: The tracking store; None for the one that ``MlflowPlace`` names.
        experiment: In it; likewise.

    Returns:
        The version in the registry, that of an earlier call when this trial's model is there already; and the version
        that has the alias now.

    Raises:
        UserError: no trial of the study is complete.
    """
    study = reading.read_study(folder)
    best = best_of(study)
    if best is None:
        raise UserError(f"study {study.start.name} has no complete trial, so there is no model to register")
    place = MlflowPlace.of(folder.parent, uri, experiment)
    uri = place.uri
    store = MlflowStore(uri, study.start, folder.parent / "mlartifacts", place.experiment)
    push(store, folder)
    run_id = store.run_id(best.trial_id)
    assert run_id is not None, "the trial was just sent"
    tags = _tags(study, best)
    version = _version_with(uri, {key: tags[key] for key in IDENTITY})
    if version is None:
        epoch = best.best(study.start.goal)
        address = log_model(uri, run_id, model, step=epoch.epoch if epoch else 0)
        version = _register(uri, address, run_id, tags)
    champion = _champion(uri)
    if champion and _scored_higher(champion, tags):
        return version, str(champion.version)
    connect(uri).set_registered_model_alias(MODEL, CHAMPION, version)
    return version, version


def _tags(study: StudyFiles, best: TrialRecord) -> dict[str, str]:
    """What a version states: whose model it is, its score, and the goal and data that the score belongs to."""
    goal, epoch = study.start.goal, best.best(study.start.goal)
    return {
        "study": study.start.name,
        "study_id": study.start.study_id,
        "trial_id": best.trial_id,
        "score": repr(goal.score(epoch.metrics) if epoch else -math.inf),
        "asked": mlflow_fields.digest(goal, {d: v.fingerprint for d, v in study.start.data.items()}),
        "synthetic": str(study.start.synthetic).lower(),
    }


def _scored_higher(champion: ModelVersion, tags: Mapping[str, str]) -> bool:
    """Two scores compare only where they are of the same goal on the same data."""
    return champion.tags.get("asked") == tags["asked"] and float(champion.tags["score"]) > float(tags["score"])


def _version_with(uri: str, marks: Mapping[str, str]) -> str | None:
    versions = connect(uri).search_model_versions(f"name = '{MODEL}'")
    return next((str(v.version) for v in versions if marks.items() <= v.tags.items()), None)


def _champion(uri: str) -> ModelVersion | None:
    client = connect(uri)
    models = client.search_registered_models(f"name = '{MODEL}'")
    number = models[0].aliases.get(CHAMPION) if models else None
    return client.get_model_version(MODEL, number) if number else None


def _register(uri: str, model_uri: str, run_id: str, marks: Mapping[str, str]) -> str:
    client = connect(uri)
    if not client.search_registered_models(f"name = '{MODEL}'"):
        client.create_registered_model(
            MODEL, description="The best model of each study; the alias 'champion' names the one to use."
        )
    logged = client.get_logged_model(model_uri.removeprefix("models:/"))
    about = SYNTHETIC if marks["synthetic"] == "true" else None
    created = client.create_model_version(
        MODEL, logged.artifact_location, run_id, tags=dict(marks), description=about, model_id=logged.model_id
    )
    return str(created.version)
