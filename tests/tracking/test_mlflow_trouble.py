"""A server of MLflow that answers with errors, or too slowly, costs the study nothing and gets all of it later."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from raytune_planes.tracking import JsonlTracker, Trackers, read_study
from raytune_planes.tracking.keeping import is_freed
from raytune_planes.tracking.mlflow import MlflowTracker, sync
from raytune_planes.tracking.mlflow_connection import default_uri
from tests.tracking.stores import contents, tracked
from tests.tracking.studies import play, three_trials

pytestmark = [
    pytest.mark.slow,
    # MLflow's own queries use a loader strategy that SQLAlchemy 2.1 calls deprecated.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]


def fails(handler: BaseHTTPRequestHandler) -> None:
    handler.send_error(500, "out of order")


def refuses(handler: BaseHTTPRequestHandler) -> None:
    handler.send_error(401, "who are you?")


def babbles(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"<html>not what was asked</html>")


def dawdles(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(3)
    fails(handler)


@pytest.fixture
def server() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], str]]:
    """Starts a server on loopback that answers every request in one way; returns its address."""
    started: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            do_POST = do_PUT = do_PATCH = do_GET

            def log_message(self, *_: object) -> None:
                """Nothing."""

        started.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=started[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{started[-1].server_port}"

    yield start
    for one in started:
        one.shutdown()
        one.server_close()


@pytest.mark.parametrize("answer", [fails, refuses, babbles, dawdles])
def test_a_server_in_trouble_costs_the_study_nothing_and_is_sent_all_of_it_later(
    answer: Callable[[BaseHTTPRequestHandler], None],
    server: Callable[[Callable[[BaseHTTPRequestHandler], None]], str],
    out: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with caplog.at_level(logging.WARNING):
        play(tracked(out, server(answer), retry_s=0.1))
    assert "does not answer; the study continues" in caplog.text
    assert "sends the rest" in caplog.text
    assert [repr(t) for t in read_study(out / "quick-1").trials] == [repr(t) for t in three_trials()]
    sync(out / "quick-1")
    found = contents(default_uri(out))
    assert len(found) == 1 + len(three_trials())


def test_a_trial_that_ends_while_the_store_is_written_is_no_trouble(
    out: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker, asked = MlflowTracker(out, default_uri(out), retry_s=0.1), list[Path]()

    def ends_another(folder: Path) -> bool:
        """As ``is_freed``, while the driver's thread tells of a further end."""
        asked.append(folder)
        tracker._held.add(f"later-{len(asked)}")
        tracker._trials[f"later-{len(asked)}"] = folder
        return is_freed(folder)

    monkeypatch.setattr("raytune_planes.tracking.mlflow.is_freed", ends_another)
    with caplog.at_level(logging.WARNING):
        play(Trackers(JsonlTracker(out), tracker))
    assert asked
    assert "does not answer" not in caplog.text
