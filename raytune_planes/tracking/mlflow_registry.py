"""Models in MLflow's registry: a version for each study's model, and the alias ``champion`` for the one to use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_planes.records import TrialRecord
from raytune_planes.tracking import reading
from raytune_planes.tracking.mlflow import push
from raytune_planes.tracking.mlflow_connection import connect
from raytune_planes.tracking.mlflow_model import LoggedModel, log_model
from raytune_planes.tracking.mlflow_place import MlflowPlace
from raytune_planes.tracking.mlflow_store import MlflowStore

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

MODEL = "raytune-planes"
"""Name in the registry: ``models:/raytune-planes@champion``."""
CHAMPION = "champion"
SYNTHETIC = "Of synthetic pictures, drawn by this program: its quality on real pictures is unknown."


@dataclass(frozen=True)
class Version:
    """A model in the registry."""

    number: str
    tags: Mapping[str, str]


def register_version(
    folder: Path,
    trial: TrialRecord,
    epoch: int,
    model: LoggedModel,
    tags: Mapping[str, str],
    place: MlflowPlace,
    about: str = "",
) -> Version:
    """Log the model of a trial of the study in ``folder`` and register it, once: a later call updates its tags.

    Args:
        folder: The study's; all its trials are sent to the store first.
        epoch: Whose weights the model has.
        tags: What the version states beside whose model it is.
        about: Its description, beside whose model it is.
    """
    study = reading.read_study(folder)
    store = MlflowStore(place.uri, study.start, folder.parent / "mlartifacts", place.experiment)
    push(store, folder)
    run_id = store.run_id(trial.trial_id)
    assert run_id is not None, "the trial was just sent"
    identity = {"study": study.start.name, "study_id": study.start.study_id, "trial_id": trial.trial_id}
    tags = {**identity, "synthetic": str(study.start.synthetic).lower(), **tags}
    known = _version_with(place.uri, identity)
    if known is not None:
        for key, value in tags.items():
            if known.tags.get(key) != value:
                connect(place.uri).set_model_version_tag(MODEL, known.number, key, value)
        return Version(known.number, {**known.tags, **tags})
    address = log_model(place.uri, run_id, model, step=epoch)
    whose = f"Study {study.start.name}, trial {trial.number}, epoch {epoch}."
    parts = (whose, about, SYNTHETIC if study.start.synthetic else "")
    return _version(_register(place.uri, address, run_id, tags, " ".join(filter(None, parts))))


def champion(uri: str) -> Version | None:
    """The version that has the alias in the store at ``uri``; None where none has it."""
    client = connect(uri)
    models = client.search_registered_models(f"name = '{MODEL}'")
    number = models[0].aliases.get(CHAMPION) if models else None
    return _version(client.get_model_version(MODEL, number)) if number else None


def make_champion(uri: str, version: Version) -> None:
    connect(uri).set_registered_model_alias(MODEL, CHAMPION, version.number)


def _version_with(uri: str, marks: Mapping[str, str]) -> Version | None:
    versions = connect(uri).search_model_versions(f"name = '{MODEL}'")
    return next((_version(v) for v in versions if marks.items() <= v.tags.items()), None)


def _version(version: ModelVersion) -> Version:
    return Version(str(version.version), dict(version.tags))


def _register(uri: str, model_uri: str, run_id: str, tags: Mapping[str, str], about: str) -> ModelVersion:
    client = connect(uri)
    if not client.search_registered_models(f"name = '{MODEL}'"):
        client.create_registered_model(
            MODEL, description="The best model of each study; the alias 'champion' names the one to use."
        )
    logged = client.get_logged_model(model_uri.removeprefix("models:/"))
    return client.create_model_version(
        MODEL, logged.artifact_location, run_id, tags=dict(tags), description=about, model_id=logged.model_id
    )
