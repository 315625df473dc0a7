"""The Ray that a study finds or starts, and the machines it counts."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from raytune_planes import waiting
from raytune_planes.errors import UserError
from raytune_planes.tuning import cluster
from raytune_planes.tuning.cluster import connected
from raytune_planes.tuning.nodes import AUTOSCALES, Node, may_start, nodes_now
from tests.tuning.heads import ray_head


def test_hosts_that_the_cluster_may_start_are_read_from_its_file() -> None:
    assert may_start("") == []
    assert may_start("4 x 4 CPU 1 GPU, 8 x 8 CPU") == [(4, Node(4, 1)), (8, Node(8, 0))]
    with pytest.raises(UserError, match="RAYTUNE_PLANES_AUTOSCALES: cannot read 'eight'; write it like '4 x 4 CPU"):
        may_start("4 x 4 CPU, eight")


def test_a_host_that_was_rented_with_a_gpu_has_a_card_also_where_ray_finds_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def node(name: str, cpus: float, gpus: float, **labels: str) -> dict[str, object]:
        return {"NodeID": name, "Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}, "Labels": labels}

    found = [node("a", 4.0, 1.0), node("b", 2.0, 1.0), node("c", 2.0, 1.0, **{"ray.io/accelerator-type": "L4"})]
    monkeypatch.setattr("ray.nodes", lambda: found)
    assert [n.has_card for n in nodes_now()] == [False, False, True]
    monkeypatch.setenv(AUTOSCALES, "1 x 4 CPU 1 GPU, 8 x 8 CPU")
    assert [n.has_card for n in nodes_now()][:3] == [True, False, True]


def test_a_named_cluster_that_does_not_answer_is_a_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match=r"the Ray cluster at 127\.0\.0\.1:1 does not answer"), connected():
        pass


@pytest.mark.parametrize("named", ["", "auto"])
def test_the_head_that_the_users_note_names_is_joined_and_no_other(
    named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    joined = []

    def join(*address: str, **_: object) -> None:
        joined.extend(address)
        raise ConnectionError("it is a test")

    monkeypatch.setattr("ray.init", join)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", named)  # Ray itself would take "auto" for the first Ray of any user
    (tmp_path / "ray").mkdir()
    with ray_head(lambda: None) as address:
        (tmp_path / "ray" / "ray_current_cluster").write_text(address)
        with pytest.raises(UserError, match=f"the Ray cluster at {address} does not answer"), connected():
            pass
    assert joined == [address]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make somebody else's file")
def test_nothing_is_sent_to_the_address_in_another_users_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def start(*address: str, **_: object) -> None:
        asked.extend(address)
        raise TypeError("it is a test")

    monkeypatch.setattr("ray.init", start)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "ray").mkdir()
    note = tmp_path / "ray" / "ray_current_cluster"
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        note.write_text(f"127.0.0.1:{stranger.getsockname()[1]}")
        os.chown(note, 65534, 65534)
        with pytest.raises(TypeError, match="it is a test"), connected():
            pass
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.accept()
    assert asked == ["local"]  # a Ray of its own


class BusyMachine:
    """Ray's start fails as on a machine that is too busy, the first ``times``, and leaves a process each time."""

    def __init__(self, times: int) -> None:
        self.times, self.left = times, list[subprocess.Popen[bytes]]()

    def __call__(self, *_: object, **__: object) -> None:
        if len(self.left) < self.times:
            self.left.append(subprocess.Popen(["sleep", "100"]))
            raise Exception("The current node timed out during startup. This could happen because ...")


def test_a_machine_that_is_too_busy_for_ray_is_told_and_left_without_its_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy = BusyMachine(9)
    monkeypatch.setattr("ray.init", busy)
    with pytest.raises(UserError, match="did not start within 30 s, 3 times in a row: this machine is too busy"):
        cluster._start({})
    assert [process.wait(10) for process in busy.left] == [-signal.SIGKILL] * 3


def test_ray_is_started_again_when_it_was_too_slow_once_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    busy = BusyMachine(1)
    monkeypatch.setattr("ray.init", busy)
    cluster._start({})
    assert [process.wait(10) for process in busy.left] == [-signal.SIGKILL]
    assert re.search(
        r"^Ray did not start within 30 s, this machine is busy: a load of \d+ on \d+ of its processors; try 2 of 3$",
        capsys.readouterr().err,
        re.MULTILINE,
    )


def test_a_slow_start_of_ray_is_told_while_it_lasts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = threading.Event()
    monkeypatch.setattr(waiting, "AFTER_S", 0.01)
    monkeypatch.setattr(waiting, "AGAIN_S", 0.01)
    monkeypatch.setattr(cluster, "allowed", lambda: told.set() or 2)
    monkeypatch.setattr("ray.init", lambda *_, **__: (told.clear(), told.wait(60)))
    cluster._start({})
    assert "Ray is still starting, this machine is busy: a load of" in capsys.readouterr().err


def test_any_other_failure_of_ray_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("no such option")

    monkeypatch.setattr("ray.init", broken)
    with pytest.raises(ValueError, match="no such option"):
        cluster._start({})


def test_what_ray_reads_when_it_is_imported_is_set_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import ray_constants
    from ray.tune.execution import class_cache

    monkeypatch.setattr(ray_constants, "RAY_ENABLE_UV_RUN_RUNTIME_ENV", True)
    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", {"AWS_SECRET_ACCESS_KEY", "RAY_TRAIN_V2_ENABLED"})
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError), connected():
        pass
    assert not ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV
    assert {"RAY_TRAIN_V2_ENABLED"} == class_cache.ENV_VARS_TO_PROPAGATE


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_the_ray_of_this_machine_offers_the_processors_that_this_process_may_use_and_starts_no_more_than_it_needs() -> (
    None
):
    code = (
        "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from raytune_planes.tuning.cluster import connected\n"
        "with connected() as cluster:\n    print(cluster.cpus, os.environ['OMP_WAIT_POLICY'])\n"
        "    words = [word for process in cluster.processes for word in process.cmdline()]\n"
        "    print([word for word in words if word.endswith(('monitor.py', 'dashboard.py'))])\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "1.0 PASSIVE\n[]\n", done.stderr
