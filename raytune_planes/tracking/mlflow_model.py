"""The best trial's model in MLflow's registry, under the alias ``champion``: its files and the code that reads them."""

from __future__ import annotations

import importlib.util
import json
import math
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_planes.errors import UserError, first_line
from raytune_planes.tracking import mlflow_fields, reading
from raytune_planes.tracking.gains import best_of
from raytune_planes.tracking.mlflow import push
from raytune_planes.tracking.mlflow_connection import connect, without_secrets
from raytune_planes.tracking.mlflow_place import MlflowPlace, current_store
from raytune_planes.tracking.mlflow_store import MlflowStore

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

MODEL = "raytune-planes"
"""Name in the registry: ``models:/raytune-planes@champion``."""
CHAMPION = "champion"
SYNTHETIC = "Of synthetic pictures, drawn by this program: what it says of real ones is not known to be of use."
LOADER = "loader"
"""The artifact that says what loads the others; ``mlflow_serving`` reads it."""


def register_champion(
    folder: Path,
    uri: str | None = None,
    *,
    loader: str,
    artifacts: Mapping[str, Path],
    input_example: Any,
    output_example: Any,
    requirements: Sequence[str],
    code: Sequence[Path] = (),
    name: str = MODEL,
    experiment: str | None = None,
) -> tuple[str, str]:
    """Log the model of the best trial of the study in ``folder`` and register it.

    It gets the alias unless the version that has it scored higher when the same goal was asked of the same data.

    Args:
        loader: ``module:function``; called with {artifact name: path}, it returns a function from input to output.
        artifacts: the files that ``loader`` reads: the checkpoint, the configuration, what it must know of the data.
        input_example: one input, as MLflow knows them (a table, an array, a dict of arrays).
        output_example: what the model returns for it; both make the signature. None where no schema holds it.
        requirements: packages as for pip; nothing is inferred, so no network is needed.
        code: folders of packages that travel with the model, for those that no index has.

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
    marks = {"study": study.start.name, "study_id": study.start.study_id, "trial_id": best.trial_id}
    version = _version_with(uri, name, marks)
    epoch = best.best(study.start.goal)
    score = study.start.goal.score(epoch.metrics) if epoch else -math.inf
    # Two scores compare only where the same was asked of the same data.
    asked = mlflow_fields.digest(study.start.goal, {d: v.fingerprint for d, v in study.start.data.items()})
    if version is None:
        model_uri = log_model(
            uri,
            run_id,
            loader=loader,
            artifacts=artifacts,
            input_example=input_example,
            output_example=output_example,
            requirements=requirements,
            code=code,
            step=epoch.epoch if epoch else 0,
        )
        tags = {**marks, "score": repr(score), "asked": asked, "synthetic": str(study.start.synthetic).lower()}
        version = _register(uri, name, model_uri, run_id, tags)
    champion = _champion(uri, name)
    if champion and champion.tags.get("asked") == asked and float(champion.tags["score"]) > score:
        return version, str(champion.version)
    connect(uri).set_registered_model_alias(name, CHAMPION, version)
    return version, version


def log_model(
    uri: str,
    run_id: str,
    *,
    loader: str,
    artifacts: Mapping[str, Path],
    input_example: Any,
    output_example: Any,
    requirements: Sequence[str],
    code: Sequence[Path] = (),
    step: int = 0,
    name: str = "model",
) -> str:
    """Log a model to a run without pickling anything of ours; returns its ``models:/`` address.

    Arguments as for ``register_champion``; the metrics of the run at ``step`` are attached to the model.
    """
    with warnings.catch_warnings():
        # MLflow warns of its own type hints on import, and of what an array in a signature might miss.
        warnings.simplefilter("ignore")
        return _log_model(uri, run_id, loader, artifacts, input_example, output_example, requirements, code, step, name)


def _log_model(
    uri: str,
    run_id: str,
    loader: str,
    artifacts: Mapping[str, Path],
    input_example: Any,
    output_example: Any,
    requirements: Sequence[str],
    code: Sequence[Path],
    step: int,
    name: str,
) -> str:
    client = connect(uri)
    import mlflow
    from mlflow.models import infer_signature

    # Found without importing it: MLflow runs this file when it loads the model.
    script = importlib.util.find_spec("raytune_planes.tracking.mlflow_serving")
    assert script is not None, "part of this package"
    assert script.origin is not None, "part of this package"
    run = client.get_run(run_id)
    try:
        with current_store(uri), tempfile.TemporaryDirectory() as folder, mlflow.start_run(run_id=run_id):
            # As a file: a model's configuration would also become parameters of the run.
            named = Path(folder) / "loader.json"
            named.write_text(json.dumps(loader))
            logged = mlflow.pyfunc.log_model(
                name=name,
                python_model=script.origin,
                artifacts={LOADER: str(named), **{key: str(path) for key, path in artifacts.items()}},
                signature=infer_signature(input_example, output_example),
                input_example=input_example,
                pip_requirements=list(requirements),
                code_paths=[str(path) for path in code] or None,
                step=step,
            )
    finally:
        client.set_terminated(run_id, run.info.status, run.info.end_time)  # start_run has made it run again
    return str(logged.model_uri)


def fetch(address: str, uri: str, file: str) -> Path:
    """Where ``file`` of a logged model or run lies on this machine, downloaded when the store is a server.

    Args:
        address: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``runs:/ID`` or ``runs:/ID/PATH``.

    Raises:
        UserError: the store does not answer, or has nothing of that name with such a file.
    """
    connect(uri)
    import mlflow
    from mlflow.exceptions import MlflowException

    where = without_secrets(uri)
    try:
        with current_store(uri):  # an argument would not reach the registry
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=address))
    except (MlflowException, OSError) as error:
        why = first_line(error)
        raise UserError(f"no {address} in {where}: {why}; --tracking-uri names another store") from None
    found = [folder] if folder.name == file else sorted(folder.rglob(file))
    if not found:
        raise UserError(f"{address} in {where} holds no {file}; name a model that this program logged")
    return found[0]


def _version_with(uri: str, name: str, marks: Mapping[str, str]) -> str | None:
    found = connect(uri).search_model_versions(f"name = '{name}'")
    return next((str(v.version) for v in found if marks.items() <= v.tags.items()), None)


def _champion(uri: str, name: str) -> ModelVersion | None:
    client = connect(uri)
    found = client.search_registered_models(f"name = '{name}'")
    number = found[0].aliases.get(CHAMPION) if found else None
    return client.get_model_version(name, number) if number else None


def _register(uri: str, name: str, model_uri: str, run_id: str, marks: Mapping[str, str]) -> str:
    client = connect(uri)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(
            name, description="The best model of each study; the alias 'champion' names the one to use."
        )
    logged = client.get_logged_model(model_uri.removeprefix("models:/"))
    about = SYNTHETIC if marks["synthetic"] == "true" else None
    created = client.create_model_version(
        name, logged.artifact_location, run_id, tags=dict(marks), description=about, model_id=logged.model_id
    )
    return str(created.version)
