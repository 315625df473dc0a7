"""The whole of `ray submit`, `up`, `down` and their kin on a cluster that is this machine."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

CLUSTER = Path(__file__).resolve().parents[2] / "cluster" / "cluster.yaml"
SCRIPT = """
import signal, sys, time
import ray
ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False)
# After ray.init: Ray's own handler prints a stack, and the process then often aborts while it ends.
signal.signal(signal.SIGTERM, signal.default_int_handler)
address = ray.get_runtime_context().gcs_address
listening = ray.get(ray.remote(lambda: ray.util.get_node_ip_address()).remote())
print("cluster", address, listening, *sys.argv[1:], flush=True)
if "--wait" in sys.argv:
    try:
        time.sleep(100)
    except KeyboardInterrupt:
        assert ray.get(ray.remote(lambda: 1).remote()) == 1
        print("saved with Ray still there", flush=True)
        sys.exit(5)
"""

pytestmark = pytest.mark.slow


class User:
    """Somebody with a home of their own, who types ``ray`` commands."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        self.home = home
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.script = home / "study.py"
        self.script.write_text(SCRIPT)
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "XDG_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{plain['PATH']}"
        self.environment = {**plain, "HOME": str(home), "PATH": path, "PYTHONWARNINGS": "ignore"}

    def start(self, verb: str, *words: str) -> subprocess.Popen[str]:
        command = ["ray", verb, str(CLUSTER), "--cluster-name", self.name, *words]
        out = subprocess.PIPE
        return subprocess.Popen(command, env=self.environment, cwd=self.home, stdout=out, stderr=out, text=True)

    def ray(self, verb: str, *words: str, status: int = 0) -> str:
        process = self.start(verb, *words)
        output, errors = process.communicate(timeout=300)
        assert process.returncode == status, output + errors
        return output

    def waiting(self) -> tuple[subprocess.Popen[str], str]:
        """A submit whose script waits, and the address of its Ray."""
        process = self.start("submit", str(self.script), "--", "--wait")
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("cluster "):
                return process, line.split()[1]
        raise AssertionError(process.communicate())


@pytest.fixture
def users(tmp_path: Path) -> Iterator[tuple[User, User]]:
    both = User(tmp_path / "ann"), User(tmp_path / "bob")
    yield both
    for user in both:
        if (user.home / ".ray").exists():
            user.ray("down", "--yes")
        assert not daemons_of(user)


def daemons_of(user: User) -> list[psutil.Process]:
    """Ray's daemons of ``user``, by the home in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("HOME") == str(user.home) and process.name() in ("raylet", "gcs_server"):
                found.append(process)
    return found


def test_two_submits_at_once_have_rays_of_their_own_and_each_ends_by_its_own_signal(users: tuple[User, User]) -> None:
    ann, bob = users
    first, one = ann.waiting()
    second, two = ann.waiting()
    third, three = bob.waiting()
    assert len({one, two, three}) == 3
    first.send_signal(signal.SIGINT)
    output, errors = first.communicate(timeout=60)
    assert (first.returncode, output) == (5, "saved with Ray still there\n"), errors
    second.send_signal(signal.SIGTERM)
    output, errors = second.communicate(timeout=60)
    assert second.returncode == 5, errors
    assert output == "saved with Ray still there\n"
    assert third.poll() is None
    assert len(daemons_of(bob)) == 2
    bob.ray("down", "--yes")  # asks the script to save, then ends its Ray
    output, errors = third.communicate(timeout=60)
    assert (third.returncode, output) == (5, "saved with Ray still there\n"), errors


def test_a_head_is_used_by_submits_and_by_no_other_user(users: tuple[User, User]) -> None:
    ann, bob = users
    ann.ray("up", "--yes")
    bob.ray("up", "--yes")
    anns = [ann.ray("submit", str(ann.script), "--", f"run {n}").splitlines()[-1].split() for n in (1, 2)]
    bobs = bob.ray("submit", str(bob.script)).splitlines()[-1].split()
    assert anns[0][1] == anns[1][1] != bobs[1]
    assert anns[0][2:] == ["127.0.0.1", "run", "1"]
    for process in daemons_of(ann):
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip in ("127.0.0.1", "::1", "::ffff:127.0.0.1"), (process, connection)
    if importlib.util.find_spec("aiohttp_cors"):  # a part of ray[default], without which Ray has no dashboard
        pages = [re.findall(r"is the head: (http://localhost:\d+)", user.ray("dashboard")) for user in users]
        assert pages[0] != pages[1]
    assert ann.ray("get-head-ip").strip() == "127.0.0.1"
    ann.ray("exec", "exit 3", status=3)

    (bob.home / ".ray" / "auth_token").write_text("0" * 64)
    stranger = bob.start("submit", str(bob.script))
    with contextlib.suppress(subprocess.TimeoutExpired):
        stranger.communicate(timeout=15)
    stranger.terminate()
    assert "cluster " not in stranger.communicate()[0]

    ann.ray("down", "--yes")
    assert not daemons_of(ann)
    assert len(daemons_of(bob)) == 2


def test_the_configuration_leaves_nothing_for_other_users_to_stumble_on(users: tuple[User, User]) -> None:
    ann, _ = users
    before = time.time()
    ann.ray("exec", "true")
    left = [p for p in Path("/tmp").glob("ray-config-*") if p.stat().st_mtime >= before and ann.name in p.read_text()]
    assert left == []
