"""A spot host that is told of its end by the cloud's metadata service tells Ray."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from ray._private import ray_constants
from ray.cluster_utils import Cluster
from ray.scripts.scripts import drain_node

from raytune_planes.tuning import ray_hooks
from tests.cluster.test_host_needs import FOLDER

SCRIPT = FOLDER / "spot_notice.py"


class Metadata(ThreadingHTTPServer):
    """Both clouds' services: ``asked`` counts questions, and a notice comes with the one after ``quiet``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked, self.quiet, self.tokens = 0, 3, 0
        self.troubles: list[int] = []
        """Statuses with which the next questions are answered instead."""

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Metadata

    def do_PUT(self) -> None:
        right = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self.server.tokens += 1
        self._answer(200 if right else 400, f"token-{self.server.tokens}")

    def do_GET(self) -> None:
        server = self.server
        if self.path == "/latest/meta-data/spot/instance-action":
            allowed = self.headers["X-aws-ec2-metadata-token"] == f"token-{server.tokens}"
        else:
            allowed = (
                self.path == "/computeMetadata/v1/instance/preempted" and self.headers["Metadata-Flavor"] == "Google"
            )
        if not allowed or server.troubles:
            self._answer(server.troubles.pop(0) if server.troubles else 403, "")
            return
        server.asked += 1
        comes = server.asked > server.quiet
        if "latest" not in self.path:
            self._answer(200, "TRUE" if comes else "FALSE")
        elif comes:
            at = datetime.now(UTC) + timedelta(seconds=118)
            self._answer(200, json.dumps({"action": "terminate", "time": f"{at:%Y-%m-%dT%H:%M:%SZ}"}))
        else:
            self._answer(404, "")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *words: object) -> None:
        pass


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    with Metadata() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def command(cloud: str, folder: Path, refusals: int = 0) -> list[str]:
    """The script, with a ``ray`` that writes down what it is told, and refuses ``refusals`` times."""
    ray = folder / "ray"
    ray.write_text(f'#!/bin/sh\necho "$@" >> {folder}/told\n[ "$(wc -l < {folder}/told)" -gt {refusals} ] || exit 1\n')
    ray.chmod(0o755)
    return [sys.executable, str(SCRIPT), cloud, "--every", "0.05", "--ray", str(ray), "--lock", str(folder / "lock")]


def environment(metadata: Metadata) -> dict[str, str]:
    away = "http://127.0.0.1:9"  # which must not be asked
    own = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{metadata.place}/", "GCE_METADATA_HOST": metadata.place}
    return {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "http_proxy": away, **own}


def run(words: list[str], metadata: Metadata) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, env=environment(metadata), capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("cloud", "least", "most"), [("aws", 60, 118), ("gcp", 1, 30)])
def test_the_clouds_notice_becomes_rays(cloud: str, least: int, most: int, metadata: Metadata, tmp_path: Path) -> None:
    ended = run(command(cloud, tmp_path, refusals=2), metadata)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert metadata.asked == metadata.quiet + 1
    told = (tmp_path / "told").read_text().splitlines()
    assert len(told) == 3, "Ray is asked again while it refuses"
    expected = "drain-node --reason DRAIN_NODE_REASON_PREEMPTION --reason-message the cloud ends this spot host "
    found = re.fullmatch(expected + r"--deadline-remaining-seconds (\d+)", told[0])
    assert found is not None
    assert least <= int(found[1]) <= most
    known: dict[str, Any] = {option: each for each in drain_node.params for option in each.opts}
    assert {"--reason-message", "--deadline-remaining-seconds"} <= known.keys()
    assert "DRAIN_NODE_REASON_PREEMPTION" in known["--reason"].type.choices


@pytest.mark.parametrize(("cloud", "tokens"), [("aws", 2), ("gcp", 0)])
def test_a_service_that_refuses_for_a_while_is_asked_on(
    cloud: str, tokens: int, metadata: Metadata, tmp_path: Path
) -> None:
    metadata.troubles = [503, 503, 401]
    ended = run(command(cloud, tmp_path), metadata)
    assert ended.returncode == 0
    assert ended.stderr.count("asking on") == 2, "each trouble is told once"
    assert metadata.tokens == tokens, "a token that has run out is fetched again"
    assert len((tmp_path / "told").read_text().splitlines()) == 1


def test_one_process_of_a_host_waits_and_others_end(metadata: Metadata, tmp_path: Path) -> None:
    metadata.quiet = 10**9
    first = subprocess.Popen(command("aws", tmp_path), env=environment(metadata))
    try:
        while not metadata.asked:
            assert first.poll() is None
        second = run(command("aws", tmp_path), metadata)
        assert (second.returncode, second.stdout) == (0, "another process waits for this host's notice\n")
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
    assert not (tmp_path / "told").exists()


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_workers_on_spot_wait_for_the_notice_beside_ray_and_the_head_does_not(cloud: str, tmp_path: Path) -> None:
    config = yaml.safe_load((FOLDER / f"{cloud}.yaml").read_text())
    *_, start, wait = config["worker_start_ray_commands"]
    assert "ray start" in start
    assert f"cluster/spot_notice.py {cloud} " in wait
    assert "spot_notice" not in " ".join(config["head_start_ray_commands"])
    (tmp_path / "raytune_planes/.venv/bin").mkdir(parents=True)
    python = tmp_path / "raytune_planes/.venv/bin/python"
    python.write_text('#!/bin/sh\necho "$@"; exec sleep 0.2\n')
    python.chmod(0o755)
    home = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", wait], env=home, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "it goes on in the background"
    log = tmp_path / "spot_notice.log"
    while not log.exists() or not log.read_text():
        pass
    assert log.read_text() == f"{tmp_path}/raytune_planes/cluster/spot_notice.py {cloud}\n"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_real_ray_drains_the_host_that_the_script_runs_on(
    metadata: Metadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)  # it listens on loopback alone
    monkeypatch.setenv(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, "0")
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)  # short, for sockets
        head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100_000_000}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            ray.init(cluster.address, log_to_driver=False, logging_level="CRITICAL")
            own = {key: value for key, value in environment(metadata).items() if "METADATA" in key}
            words = [sys.executable, str(SCRIPT), "aws", "--every", "0.1", "--lock", str(tmp_path / "lock")]
            there = {**os.environ, **own, "RAY_ADDRESS": cluster.address}
            ended = subprocess.run(words, env=there, capture_output=True, text=True, timeout=120)
            assert ended.returncode == 0, ended.stderr
            node = cluster.head_node.node_id
            while node not in ray_hooks.draining() and any(n["Alive"] for n in ray.nodes()):
                time.sleep(0.1)  # it is draining, or has ended already because nothing ran there
        finally:
            ray.shutdown()
            cluster.shutdown()
