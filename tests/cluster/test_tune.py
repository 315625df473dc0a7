"""`ray submit cluster.yaml tune.py` on this machine: a study as the README's first line runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "cluster"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


class Place:
    """A working folder with tiny data, and a cluster of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.results, self.log = folder, folder / "results", folder / "output"
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "RAYTUNE_", "XDG_", "MLFLOW_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{plain['PATH']}"
        self.environment = {**plain, "PATH": path, "XDG_STATE_HOME": str(folder / "state")}
        self.cluster = f"test-{uuid.uuid4().hex[:8]}"

    def run(self, *command: str) -> int:
        return self.start(*command).wait(1200)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)

    def submit(self, *words: str) -> tuple[str, ...]:
        files = str(FOLDER / "cluster.yaml"), str(FOLDER / "tune.py")
        return ("ray", "submit", "--cluster-name", self.cluster, *files, "--", "--data", "data", *words)

    def study(self, name: str) -> tuple[dict[str, Any], list[str]]:
        """The study's record, and how each trial ended."""
        ends = [json.loads(f.read_text())["end"] for f in sorted((self.results / name).glob("trials/*/end.json"))]
        return json.loads((self.results / name / "study.json").read_text()), ends


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    sizes = ["--planesnet", "60", "--hrplanes", "4", "--fgvc", "24", "--fgvc-classes", "2"]
    assert made.run("raytune-planes", "synth", "data", *sizes) == 0, made.log.read_text()
    yield made
    made.run("ray", "down", "--yes", "--cluster-name", made.cluster, str(FOLDER / "cluster.yaml"))


@pytest.mark.filterwarnings("ignore")  # MLflow's own use of SQLAlchemy is deprecated there
def test_a_study_ends_with_its_best_configuration_and_its_runs_in_mlflow(place: Place) -> None:
    words = ["--name", "small", "--trials", "2", "--set", "budget.epochs=1", "--set", "budget.steps_per_epoch=4"]
    assert place.run(*place.submit(*words)) == 0, place.log.read_text()
    assert place.study("small")[1] == ["completed"] * 2
    assert (place.results / "small" / "best.yaml").is_file()

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{place.results}/mlflow.db")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert [run.data.tags["kind"] for run in runs].count("trial") == 2
    assert ["mlflow.parentRunId" in run.data.tags for run in runs].count(False) == 1
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert answered_by_mlflow_ui(place) == sorted(run.info.run_id for run in runs)

    assert place.run(*place.submit("--workers", "999")) == 2
    assert "999 workers" in place.log.read_text()


def answered_by_mlflow_ui(place: Place) -> list[str]:
    """The ids of the runs that ``mlflow ui`` tells by its REST API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = f"sqlite:///{place.results}/mlflow.db"
    server = place.start("mlflow", "ui", "--backend-store-uri", store, "--port", str(port), "--workers", "1")

    def ask(what: str, **body: object) -> dict[str, Any]:
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api/2.0/mlflow/{what}", data, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return dict(json.load(answer))

    try:
        deadline = time.monotonic() + 200
        while True:
            try:
                experiments = ask("experiments/search", max_results=10)["experiments"]
                break
            except OSError:
                assert server.poll() is None, place.log.read_text()
                assert time.monotonic() < deadline, place.log.read_text()
                time.sleep(0.5)
        found = ask("runs/search", experiment_ids=[e["experiment_id"] for e in experiments])["runs"]
        return sorted(run["info"]["run_id"] for run in found)
    finally:
        parent = psutil.Process(server.pid)
        for process in (*parent.children(recursive=True), parent):
            process.terminate()
        server.wait(60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_study_cleanly_and_says_how_it_goes_on(place: Place, number: signal.Signals) -> None:
    process = place.start(*place.submit("--name", "stopped", "--trials", "2", "--set", "budget.epochs=40"))
    deadline = time.monotonic() + 400
    while b"epoch 2/" not in place.log.read_bytes():
        assert process.poll() is None, place.log.read_text()
        assert time.monotonic() < deadline, place.log.read_text()
        time.sleep(0.2)
    process.send_signal(number)
    assert process.wait(120) == 130, place.log.read_text()
    study, ends = place.study("stopped")
    assert "interrupted" in json.dumps(study)
    assert set(ends) == {"interrupted"}
    assert "--resume stopped" in place.log.read_text()
