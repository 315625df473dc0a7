"""Weights among a run's artifacts: linked rather than copied where the store lies on the same disk, and removed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repo import ArtifactRepository


def link(client: MlflowClient, run_id: str, path: Path) -> bool:
    """Give the run the file ``path`` without a second copy on the disk: a hard link, as ``path`` is never written to,
    only replaced. Returns whether that could be done: not on another disk, nor where a server keeps the artifacts.
    """
    folder = getattr(_repository(client, run_id), "artifact_dir", None)
    if folder is None:
        return False
    place, new = Path(folder) / path.name, Path(folder) / f".{path.name}.{os.getpid()}"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            new.unlink()
        os.link(path, new)
        new.replace(place)
        new.unlink(missing_ok=True)  # renaming does nothing where both are links to one file
    except OSError:
        return False
    return True


def remove(client: MlflowClient, run_id: str, name: str) -> bool:
    """Remove an artifact of the run, if it has it; returns whether its store can do so."""
    repository = _repository(client, run_id)
    try:
        if any(each.path == name for each in repository.list_artifacts()):
            repository.delete_artifacts(name)
    except NotImplementedError:
        return False
    return True


def _repository(client: MlflowClient, run_id: str) -> ArtifactRepository:
    """The run's own place in the artifact store. The client has no public way to remove an artifact."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(client.get_run(run_id).info.artifact_uri, tracking_uri=client.tracking_uri)
