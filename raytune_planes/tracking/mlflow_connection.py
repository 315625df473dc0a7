"""A connection to MLflow: quiet, soon to give up, and with a place for artifacts that does not depend on the folder."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_planes.addresses import answering, is_postgres, without_secrets
from raytune_planes.errors import UserError
from raytune_planes.invocation import command, runner_of
from raytune_planes.paths import sqlite_address, sqlite_file

if TYPE_CHECKING:
    from mlflow import MlflowClient


PREFIX, HELD = ".mlflow-", "held"
"""Begins the name of a folder beside the studies in which the database is made; the lock in it."""


def connect(uri: str) -> MlflowClient:
    """A client that gives up soon and says nothing; a database is created or migrated here.

    Raises:
        UserError: no PostgreSQL answers where one is named, or its driver is missing.
    """
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # One call to a dead port takes four minutes by default; and a creation that is sent again may be done twice,
        # whereas ours asks first what is there.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_UV_AUTO_DETECT": "false",  # a model's requirements are ours to say, not those of the working folder
    }.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("mlflow.store.db", "mlflow.utils.environment", "psycopg"):  # each retry; no pip; a row that is there
        logging.getLogger(name).setLevel(logging.ERROR)
    if database := sqlite_file(uri):
        if not database.exists():
            _make(database)
        try_file(database)
    # Without an answer MLflow would try again for an hour.
    named = "MLFLOW_TRACKING_URI" if uri == os.environ.get("MLFLOW_TRACKING_URI") else "--tracking-uri"
    with (
        answering(uri, f"MLflow's database (from {named})", "experiments")
        if is_postgres(uri)
        else contextlib.nullcontext()
    ):
        return MlflowClient(tracking_uri=uri)


def default_uri(out: Path) -> str:
    """The database beside the studies; absolute, because trials run in folders of their own."""
    return sqlite_address(out / "mlflow.db")


def analyze(path: Path) -> None:
    """Let SQLite count its rows: sorting ten thousand runs by a metric then takes 0.1 s instead of 6."""
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
        database.execute("ANALYZE")
        database.commit()


def try_file(path: Path) -> None:
    """Raise sqlite3.Error at once where MLflow would try for a minute: no permission, a folder or no database there;
    and where it would continue with half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    way_out = f"{path} is damaged; move it away, and '{command('sync STUDY')}' fills a new one from the records"
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
        try:
            fault = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError:
            raise  # it cannot be opened, which says nothing of what is in it
        except sqlite3.DatabaseError as error:
            raise sqlite3.DatabaseError(f"{way_out} ({error})") from None
        if fault != "ok":
            raise sqlite3.DatabaseError(f"{way_out} ({fault})")


def _make(path: Path) -> None:
    """Make the database beside its place: of a process that is killed meanwhile only some tables would stay, with which
    MLflow never continues. Where that cannot be done, or another was quicker, MLflow finds or makes it as usual."""
    from mlflow import MlflowClient

    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path.parent)
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=path.parent) as folder, _held(Path(folder)):
            new = Path(folder) / path.name
            MlflowClient(tracking_uri=sqlite_address(new))
            os.link(new, path)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Others see that somebody works in ``folder``; the lock is there under its name only once it is held."""
    with (folder / f"{HELD}.new").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.rename(lock.name, folder / HELD)
        yield


def _remove_stale(parent: Path) -> None:
    """Remove the folders whose processes were killed while they made a database."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # held by one that lives, or without a lock yet
            with (folder / HELD).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def experiment_id(client: MlflowClient, name: str, uri: str, artifacts: Path) -> str:
    """The id of the experiment ``name``, which is made when it is not there.

    Raises:
        UserError: it was deleted, as the UI does it: it takes no runs, and no other may have its name.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        raise UserError(
            f"the experiment '{name}' of MLflow at {without_secrets(uri)} was deleted and takes no runs; restore it "
            f"with 'MLFLOW_TRACKING_URI={without_secrets(uri)} {runner_of()}mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}', or name another one with --experiment NAME"
        )
    if experiment is None:
        # A database alone would put artifacts into ./mlruns of whichever folder this process is in.
        place = None if uri.startswith("http") else artifacts.resolve().as_uri()
        return str(client.create_experiment(name, place, tags={"mlflow.experimentKind": "custom_model_development"}))
    return str(experiment.experiment_id)
