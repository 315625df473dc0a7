"""Serve MLflow's UI over a study's store, on loopback, until it is stopped; with MLflow's login where it is asked."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

from raytune_planes.addresses import answering, is_postgres, without_secrets
from raytune_planes.errors import UserError
from raytune_planes.invocation import command
from raytune_planes.paths import sqlite_file
from raytune_planes.tracking.files import find_study
from raytune_planes.tracking.mlflow_app import NAME
from raytune_planes.tracking.mlflow_connection import try_file
from raytune_planes.tracking.mlflow_login import Login, check_login, read_login, request, server_settings
from raytune_planes.tracking.mlflow_place import MlflowPlace
from raytune_planes.tracking.mlflow_view import view_path
from raytune_planes.tracking.reading import read_ends

HOST = "127.0.0.1"
LOG = "mlflow-ui.log"
"""In the results: what the server says, which is much."""
START_S = 120.0
"""How long a server may take until it answers."""


def serve_ui(
    out: Path, port: int = 5000, uri: str | None = None, *, login: bool = False, experiment: str | None = None
) -> int:
    """Start MLflow's server on the store of ``out`` (or on the database ``uri``), say where it is, and stay.

    For the address of a server that runs elsewhere it only says where to look. Returns the exit status.

    Args:
        login: let in only who gives the user and password that the environment names (``mlflow_login``).

    Raises:
        UserError: there is no store, no login to ask for, the port is taken, or the server does not start.
    """
    place = MlflowPlace.of(out, uri, experiment)
    if place.in_words():
        print(place.in_words())
    store = place.uri
    if store.startswith("http"):
        if login:
            raise UserError("--login is for the server that ui starts here; one that runs elsewhere has its own")
        table, *charts = _addresses(store.rstrip("/"), out, place.experiment)
        print(f"MLflow runs elsewhere; open {table}", *(f"charts: {address}" for address in charts), sep="\n")
        return 0
    credentials = read_login() if login else None
    if database := sqlite_file(store):
        _refuse_unreadable(database)
    if is_postgres(store):
        with answering(store, "MLflow's database"):
            pass
    _refuse_taken(port)
    with _server(store, out, port, credentials) as server, contextlib.suppress(KeyboardInterrupt):
        _wait_until_it_answers(server, port, out / LOG)
        if credentials:
            check_login(f"http://{HOST}:{port}", credentials, out)
        table, *charts = _addresses(f"http://{HOST}:{port}", out, place.experiment, credentials)
        print(f"MLflow: {table}", *(f"charts: {address}" for address in charts), sep="\n")
        print("The first shows the trials of the latest study, best first, the second the history of its objectives,")
        print("fronts, settings and curves; the study's own run, named like it, describes its question and its result.")
        print("Ctrl-C ends it.")
        sys.stdout.flush()
        return server.wait()
    return 0


@contextlib.contextmanager
def _server(store: str, out: Path, port: int, login: Login | None) -> Iterator[subprocess.Popen[bytes]]:
    """The server and the processes it starts; all of them end with the block, also on SIGTERM."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    artifacts = (out / "mlartifacts").resolve().as_uri()
    # The second is where the server itself writes what clients send it: by default into the folder it runs in.
    command += ["--default-artifact-root", artifacts, "--artifacts-destination", artifacts]
    command += ["--uvicorn-opts", "--log-level warning"]
    settings = {
        "MLFLOW_BACKEND_STORE_URI": store,  # not an argument: everybody on the machine can read those
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 0.5 GiB of memory instead of 2.6
        "MLFLOW_LOGGING_LEVEL": "WARNING",
    }
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    out.mkdir(parents=True, exist_ok=True)
    if login:
        settings |= server_settings(login, out)
    if entry_points(group="mlflow.app", name=NAME):
        command += ["--app-name", NAME]
    elif login:  # the project was not installed anew since it has an app of its own
        command += ["--app-name", "basic-auth"]
    with (out / LOG).open("wb") as log:
        server = subprocess.Popen(
            command, env={**os.environ, **settings}, start_new_session=True, stdout=log, stderr=log
        )
    try:
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        signal.signal(signal.SIGTERM, before)


def _refuse_unreadable(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"no MLflow store at {path}; run '{command('tune')}' first, or name its folder with --out")
    try:
        try_file(path)
    except sqlite3.Error as error:
        raise UserError(f"MLflow's store cannot be opened: {error}") from None


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"port {port} cannot be used ({error.strerror}); choose another with --port") from None


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    lines = log.read_text(errors="replace").strip().splitlines() or ["nothing"]
    raise UserError(f"MLflow's server did not start; the last it said in {log}: {lines[-1]}")


def _addresses(base: str, out: Path, experiment: str, login: Login | None = None) -> tuple[str, ...]:
    """The latest study in ``out`` as table and as charts when there is one and the server at ``base`` knows it, else
    ``base``."""
    query = urllib.parse.urlencode({"experiment_name": experiment})
    try:
        start = read_ends(find_study(out))[0]
        query_request = request(f"{base}/api/2.0/mlflow/experiments/get-by-name?{query}", login)
        with urllib.request.urlopen(query_request, timeout=10) as answer:
            experiment_id = str(json.load(answer)["experiment"]["experiment_id"])
    except (UserError, OSError, ValueError, KeyError):
        return (without_secrets(base),)
    views = (view_path(experiment_id, start), view_path(experiment_id, start, as_charts=True))
    return tuple(f"{without_secrets(base)}/{view}" for view in views)
