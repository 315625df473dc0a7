"""MLflow's database beside the studies appears whole or not at all, whenever the process that makes it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from raytune_planes.tracking.mlflow_connection import HELD, PREFIX, _held, connect, default_uri


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


KILLED = """
import os, sys
from pathlib import Path
from raytune_planes.tracking.mlflow_connection import PREFIX, _held
folder = Path(sys.argv[1]) / f"{PREFIX}dead"
folder.mkdir()
with _held(folder):
    os._exit(9)
"""


@pytest.mark.filterwarnings("ignore")
def test_what_a_killed_process_left_goes_with_the_next_start_and_what_a_living_one_makes_stays(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)]).returncode == 9
    assert (tmp_path / f"{PREFIX}dead" / HELD).is_file()
    new = tmp_path / f"{PREFIX}new"
    living = tmp_path / f"{PREFIX}living"
    for folder in (new, living):  # one has been made this moment, and has no lock yet
        folder.mkdir()
    with _held(living):
        connect(default_uri(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([living.name, new.name, "mlflow.db"])
