"""The script that keeps a cluster's MLflow server on its head."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "cluster" / "mlflow_head.sh"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run(home: Path, port: int, *words: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "HOME": str(home), "PATH": path, "MLFLOW_PORT": str(port)}
    return subprocess.run(["bash", str(SCRIPT), *words], env=environment, capture_output=True, text=True, timeout=200)


def test_a_shell_understands_the_script() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(SCRIPT)], check=True)


def test_stopping_what_does_not_run_is_no_mistake(tmp_path: Path) -> None:
    assert run(tmp_path, free_port(), "stop").returncode == 0


def test_a_server_that_cannot_start_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "mlflow"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'no such database' >&2\nexit 1\n")
    fake.chmod(0o755)
    environment = {"HOME": str(tmp_path), "PATH": f"{fake.parent}:/usr/bin:/bin", "MLFLOW_PORT": str(free_port())}
    ended = subprocess.run(["bash", str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "MLflow did not start" in ended.stderr
    assert "no such database" in ended.stderr


@pytest.mark.slow
def test_the_server_starts_once_is_seen_from_this_host_alone_and_stops(tmp_path: Path) -> None:
    port = free_port()
    try:
        first = run(tmp_path, port)
        assert f"MLflow runs on http://127.0.0.1:{port}" in first.stdout, first.stderr
        assert "already runs" in run(tmp_path, port).stdout
        page = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search?max_results=1"
        with urllib.request.urlopen(page, timeout=10) as answer:
            assert answer.status == 200
        strange = urllib.request.Request(page, headers={"Host": "elsewhere.example"})
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:  # the host check is on
            urllib.request.urlopen(strange, timeout=10)
        refused.value.close()
        (tmp_path / "neighbour").mkdir()
        other = run(tmp_path / "neighbour", port)
        assert other.returncode == 1
        assert "something else answers on port" in other.stderr
        assert (tmp_path / "mlflow").stat().st_mode & 0o077 == 0
    finally:
        assert "MLflow stopped" in run(tmp_path, port, "stop").stdout
    deadline = time.monotonic() + 20
    while listens(port):
        assert time.monotonic() < deadline
        time.sleep(0.2)
