"""A model in MLflow's store: what is logged of it, and how its files come back."""

from __future__ import annotations

import importlib.util
import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytune_planes.addresses import without_secrets
from raytune_planes.errors import UserError, first_line
from raytune_planes.tracking.mlflow_connection import connect
from raytune_planes.tracking.mlflow_place import current_store
from raytune_planes.tracking.mlflow_runs import FREED, WEIGHTS_TAG

LOADER = "loader"
"""The artifact that names the loader of the others; ``mlflow_serving`` reads it."""


@dataclass(frozen=True)
class LoggedModel:
    """What MLflow stores of a model: files and the name of the code that reads them; nothing is pickled."""

    loader: str
    """``module:function``; called with {artifact name: path}, it returns a function from input to output."""
    artifacts: Mapping[str, Path]
    """The files that ``loader`` reads, by name."""
    input_example: Any
    """One input, as MLflow knows them (a table, an array, a dict of arrays)."""
    output_example: Any
    """What the model returns for it; both make the signature. None where no schema holds it."""
    requirements: Sequence[str]
    """Packages as for pip; nothing is inferred, so no network is needed."""
    code: Sequence[Path] = ()
    """Folders of packages that travel with the model, for those that no index has."""


def log_model(uri: str, run_id: str, model: LoggedModel, *, step: int = 0, name: str = "model") -> str:
    """Log ``model`` to a run; returns its ``models:/`` address.

    Args:
        uri: The tracking store.
        run_id: The run. Its status and end stay as they are, and its metrics at ``step`` are attached to the model.
        step: The epoch whose weights these are.
        name: Of the model within the run.
    """
    with warnings.catch_warnings():
        # MLflow warns of its own type hints on import, and of what an array in a signature might miss.
        warnings.simplefilter("ignore")
        return _log_model(uri, run_id, model, step, name)


def _log_model(uri: str, run_id: str, model: LoggedModel, step: int, name: str) -> str:
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
            named.write_text(json.dumps(model.loader))
            logged = mlflow.pyfunc.log_model(
                name=name,
                python_model=script.origin,
                artifacts={LOADER: str(named)} | {k: p.resolve().as_uri() for k, p in model.artifacts.items()},
                signature=infer_signature(model.input_example, model.output_example),
                input_example=model.input_example,
                pip_requirements=list(model.requirements),
                code_paths=[str(path) for path in model.code] or None,
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
    where = without_secrets(uri)
    try:
        client = connect(uri)
        import mlflow

        kind, _, run_id = address.partition(":/")
        of_run = kind == "runs" and "/" not in run_id.strip("/")
        freed = of_run and client.get_run(run_id.strip("/")).data.tags.get(WEIGHTS_TAG) == FREED
        wanted = f"runs:/{run_id.strip('/')}/{file}" if of_run else address
        with current_store(uri):  # an argument would not reach the registry
            folder = Path() if freed else Path(mlflow.artifacts.download_artifacts(artifact_uri=wanted))
    except Exception as error:  # MLflow raises its own, requests', SQLAlchemy's, SQLite's and the system's
        why = without_secrets(first_line(error))
        raise UserError(f"no {address} in {where}: {why}; --tracking-uri names another store") from None
    if freed:
        raise UserError(
            f"{address} in {where} no longer has weights: its trial was not among the best of its study (study.keep). "
            f"Train it again with 'train --config' and the run's config.yaml; a study keeps more with --keep"
        )
    files = [folder] if folder.name == file else sorted(folder.rglob(file))
    if not files:
        raise UserError(f"{address} in {where} holds no {file}; name a model that this program logged")
    return files[0]
