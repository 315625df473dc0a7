"""An empty MLflow database, made once: its migrations take seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from raytune_planes.tracking.mlflow_connection import connect, default_uri


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mlflow")
    connect(default_uri(folder)).get_experiment_by_name("none")
    return folder / "mlflow.db"


@pytest.fixture
def out(empty_database: Path, tmp_path: Path) -> Path:
    """A results folder whose ``mlflow.db`` is ready."""
    folder = tmp_path / "results"
    folder.mkdir()
    shutil.copyfile(empty_database, folder / "mlflow.db")
    return folder
