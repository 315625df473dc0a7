"""MLflow in a PostgreSQL: the same runs as in a file, also where the server stops in the middle of a study."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from raytune_planes.errors import UserError
from raytune_planes.records import EpochRecord, TrialRecord
from raytune_planes.tracking import JsonlTracker, StudyEnd, StudyStart, Trackers
from raytune_planes.tracking.mlflow import MlflowTracker, sync
from raytune_planes.tracking.mlflow_connection import default_uri
from raytune_planes.tracking.mlflow_ui import serve_ui
from tests.postgres import PASSWORD, Postgres, postgres
from tests.tracking.stores import contents
from tests.tracking.studies import play

pytestmark = [
    pytest.mark.slow,
    # MLflow's own queries use a loader strategy that SQLAlchemy 2.1 calls deprecated.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]


@pytest.fixture
def server() -> Iterator[Postgres]:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with postgres() as started:
        yield started
        for engine in SqlAlchemyStore._engine_map.values():  # MLflow keeps its connections until the process ends
            engine.dispose()


class Outage:
    """A tracker that stops the server once the first runs are there, and starts it at the end of the study."""

    def __init__(self, server: Postgres) -> None:
        self.server, self.runs = server, create_engine(server.address(), poolclass=NullPool)

    def start_study(self, start: StudyStart) -> None: ...

    def start_trial(self, trial: TrialRecord) -> None:
        if trial.number == 1:
            deadline = time.monotonic() + 60
            while not self._has_a_run() and time.monotonic() < deadline:
                time.sleep(0.1)
            self.server.stop()

    def log_epoch(self, trial_id: str, epoch: EpochRecord) -> None: ...

    def end_trial(self, trial: TrialRecord, artifacts: Sequence[Path] = ()) -> None: ...

    def end_study(self, end: StudyEnd) -> None:
        self.server.start()

    def _has_a_run(self) -> bool:
        try:
            with self.runs.connect() as connection:
                return bool(connection.execute(text("select count(*) from runs")).scalar())
        except SQLAlchemyError:
            return False


def test_a_server_that_stops_in_the_middle_has_each_run_once_in_the_end(
    out: Path, server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    uri = server.address()
    with caplog.at_level(logging.INFO):
        play(Trackers(JsonlTracker(out), Outage(server), MlflowTracker(out, uri, retry_s=0.2)))
    assert sync(out / "quick-1", default_uri(out))
    assert contents(uri) == contents(default_uri(out))
    assert sync(out / "quick-1", uri) == ()
    assert PASSWORD not in server.dump()
    server.stop()
    with pytest.raises(UserError, match=r"does not answer at postgresql://\*\*\*@127.0.0.1:\d+/postgres: .*start the"):
        sync(out / "quick-1", uri)
    with pytest.raises(UserError, match=r"does not answer at postgresql://\*\*\*@127.0.0.1:\d+/postgres: .*start the"):
        serve_ui(out, 0, uri)
    assert PASSWORD not in caplog.text
