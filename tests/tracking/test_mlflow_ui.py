"""The server of the UI: it opens on the latest study, listens on loopback only, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from raytune_planes.errors import UserError
from raytune_planes.tracking import JsonlTracker
from raytune_planes.tracking.mlflow import sync
from raytune_planes.tracking.mlflow_app import Message, beginning, script
from raytune_planes.tracking.mlflow_login import Login, check_login, request
from raytune_planes.tracking.mlflow_ui import serve_ui
from tests.tracking.studies import START, play


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(out: Path, port: int, here: Path, login: bool = False) -> subprocess.Popen[str]:
    """``serve_ui`` in a process of its own, whose working folder is ``here``."""
    code = "import pathlib; from raytune_planes.tracking.mlflow_ui import serve_ui; "
    code += f"raise SystemExit(serve_ui(pathlib.Path({str(out)!r}), {port}, login={login}))"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=here)


def put(address: str, body: bytes) -> None:
    """What a client of MLflow sends to keep a file."""
    with urllib.request.urlopen(urllib.request.Request(address, body, method="PUT"), timeout=10) as answer:
        assert answer.status == 200


@pytest.mark.slow
# MLflow's own queries use a loader strategy that SQLAlchemy 2.1 calls deprecated.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
def test_it_opens_on_the_latest_study_on_loopback_and_ends_with_its_processes(out: Path, tmp_path: Path) -> None:
    play(JsonlTracker(out))
    sync(out / "quick-1")
    port, here = free_port(), tmp_path / "here"
    here.mkdir()
    with started(out, port, here) as server:
        assert server.stdout is not None
        said = server.stdout.readline()
        address = f"http://127.0.0.1:{port}/#/experiments/1/runs?viewStateShareKey={START.study_id}"
        assert said.startswith(f"MLflow: {address}")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            assert script() in answer.read().decode(), "the page begins on model training, and asks for nothing"
        put(f"http://127.0.0.1:{port}/api/2.0/mlflow-artifacts/artifacts/sent/x.txt", b"kept")
        assert (out / "mlartifacts" / "sent" / "x.txt").read_bytes() == b"kept"
        children = psutil.Process(server.pid).children(recursive=True)
        listening = {c.laddr.ip for p in children for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert list(here.iterdir()) == [], "nothing is written into the working folder"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
def test_with_a_login_it_answers_only_who_gives_it(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(JsonlTracker(out))
    sync(out / "quick-1")
    port, here = free_port(), tmp_path / "here"
    here.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct horse battery")
    search = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get-by-name?experiment_name=raytune-planes"
    with started(out, port, here, login=True) as server:
        assert server.stdout is not None
        said = server.stdout.readline()
        assert said.startswith(f"MLflow: http://127.0.0.1:{port}/#/experiments/1/runs?viewStateShareKey=")
        with urllib.request.urlopen(request(search, Login("ada", "correct horse battery")), timeout=10) as answer:
            assert json.load(answer)["experiment"]["name"] == "raytune-planes"
        for wrong in (None, Login("ada", "correct horse"), Login("bob", "correct horse battery")):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request(search, wrong), timeout=10)
            assert refused.value.code == 401
            refused.value.close()
        with pytest.raises(urllib.error.HTTPError) as refused:
            put(f"http://127.0.0.1:{port}/api/2.0/mlflow-artifacts/artifacts/x.txt", b"from nobody")
        assert refused.value.code == 401
        refused.value.close()
        with pytest.raises(UserError, match="knows the user 'ada' by another password, that of the first start"):
            check_login(f"http://127.0.0.1:{port}", Login("ada", "another password"), out)
        sync(out / "quick-1", f"http://127.0.0.1:{port}")  # with the same two variables
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    assert not (out / "mlartifacts" / "x.txt").exists()
    assert list(here.iterdir()) == []
    assert (out / "mlflow-login.db").stat().st_mode & 0o077 == 0
    for file in ("mlflow-login.ini", "mlflow-ui.log"):
        assert "correct horse" not in (out / file).read_text()


@pytest.mark.parametrize(("user", "password"), [("", "long enough to be one"), ("ada", ""), ("ada", "short")])
def test_a_login_that_the_environment_does_not_name_is_asked_for(
    user: str, password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    (tmp_path / "mlflow.db").touch()
    with pytest.raises(UserError, match="set both, the password with 12 letters or more"):
        serve_ui(tmp_path, login=True)
    with pytest.raises(UserError, match="one that runs elsewhere has its own"):
        serve_ui(tmp_path, uri="http://127.0.0.1:1", login=True)


def test_without_a_store_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no MLflow store at .*mlflow.db; run 'raytune-planes tune' first"):
        serve_ui(tmp_path)


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} cannot be used \(Address already in use\); choose another"):
            serve_ui(tmp_path, port)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database at all, but a file of some length")
    told = r"store cannot be opened: .*mlflow.db is damaged; move it away, .* \(file is not a database\)"
    with pytest.raises(UserError, match=told):
        serve_ui(tmp_path)


@pytest.mark.slow
def test_a_server_that_cannot_start_is_told_with_the_last_it_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"MLflow's server did not start; the last it said in .*mlflow-ui.log: \S"):
        serve_ui(tmp_path, free_port(), "nonsense://127.0.0.1:1/runs")


def test_a_server_elsewhere_is_only_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started = time.perf_counter()
    assert serve_ui(tmp_path, uri="http://me:secret@127.0.0.1:1/") == 0
    assert capsys.readouterr().out == "MLflow runs elsewhere; open http://***@127.0.0.1:1\n"
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json"])
def test_only_the_page_gets_the_script_and_is_sent_whole_with_its_length(kind: str) -> None:
    sent: list[Message] = []
    asked: list[Message] = []

    async def app(scope: Message, receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
        asked.append(scope)
        headers = [(b"content-type", kind.encode()), (b"content-length", b"26"), (b"etag", b"old")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"<html><head>", "more_body": True})
        await send({"type": "http.response.body", "body": b"</head></html>"})

    async def receive() -> Message:
        raise AssertionError("a GET has no body")

    async def send(message: Message) -> None:
        sent.append(message)

    def ask(path: str) -> bytes:
        scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"if-none-match", b"old"), (b"a", b"b")]}
        sent.clear()
        asyncio.run(beginning(app)(scope, receive, send))
        return b"".join(m.get("body", b"") for m in sent)

    page = b"<html><head></head></html>"
    assert "display:none" in script(), "what has nothing to do with training is hidden"
    assert ask("/ajax-api/x") == page
    is_page = kind.startswith("text/html")
    assert ask("/") == (page.replace(b"<head>", b"<head>" + script().encode()) if is_page else page)
    assert asked[-1]["headers"] == [(b"a", b"b")], "a page that the browser kept from elsewhere is not taken"
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(sent[1]["body"])).encode()
    assert b"etag" not in dict(sent[0]["headers"])
