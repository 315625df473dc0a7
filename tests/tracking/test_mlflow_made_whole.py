"""MLflow's database beside the studies appears whole or not at all, whenever the process that makes it is killed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mlflow import MlflowClient

from raytune_planes.tracking.mlflow_connection import connect, default_uri


@pytest.mark.filterwarnings("ignore")  # MLflow's own use of SQLAlchemy is deprecated there
def test_a_process_that_is_killed_while_it_makes_the_database_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", killed)  # when all tables are made, and before they are in place
        with pytest.raises(SystemExit):
            connect(default_uri(tmp_path))
    assert not (tmp_path / "mlflow.db").exists()
    assert isinstance(client := connect(default_uri(tmp_path)), MlflowClient)
    assert [e.name for e in client.search_experiments()] == ["Default"]
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
