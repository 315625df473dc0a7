"""When one of Ray's daemons dies, all that Ray started ends with the driver, which says how to go on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import psutil
import pytest

from tests.tuning.heads import ray_head

DRIVER = """
import subprocess, sys, threading, time
from pathlib import Path
import psutil
from raytune_planes.terminal import make_view
from raytune_planes.tuning import daemons
from raytune_planes.tuning.cluster import Cluster
daemons.PATIENCE_S = 1.0
folder, kind = sys.argv[1:]
# Stand-ins for Ray's daemons: their names, one with a child as the raylet has its agents, and one that is no daemon.
shell = "'%s/agent' 60 & echo $!; wait"
raylet = subprocess.Popen([f"{folder}/raylet", "-c", shell % folder], stdout=subprocess.PIPE, text=True)
agent = int(raylet.stdout.readline())
others = [subprocess.Popen([f"{folder}/{name}", "60"]) for name in ("gcs_server", "log_monitor")]
pids = [raylet.pid, others[0].pid, others[1].pid, agent]
lost = threading.Event()
tell = daemons.resumable(make_view(sys.stdout), "my study", Path("/some where"))
def on_loss(why): lost.set()
started = tuple(psutil.Process(p.pid) for p in (raylet, *others))
try:
    with daemons.Guard(Cluster((), processes=started), on_loss, tell):
        print(*pids, flush=True)
        if kind == "blocked":
            time.sleep(50)
        lost.wait(50)
        raise KeyboardInterrupt
finally:
    print("left the block", flush=True)
"""


@pytest.mark.parametrize("victim", ["raylet", "gcs_server"])
@pytest.mark.parametrize("kind", ["in order", "blocked"])
def test_a_dead_daemon_ends_the_driver_in_words_and_leaves_no_process(tmp_path: Path, kind: str, victim: str) -> None:
    for name in ("gcs_server", "log_monitor", "agent"):
        shutil.copy("/bin/sleep", tmp_path / name)
    shutil.copy("/bin/sh", tmp_path / "raylet")
    command = [sys.executable, "-c", DRIVER, str(tmp_path), kind]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    processes = [psutil.Process(int(pid)) for pid in driver.stdout.readline().split()]
    assert [p.name() for p in processes] == ["raylet", "gcs_server", "log_monitor", "agent"]
    dead = processes[0 if victim == "raylet" else 1]
    dead.send_signal(signal.SIGKILL)
    output, errors = driver.communicate(timeout=60)
    assert errors == (
        f"Ray's process {victim} ({dead.pid}) on this machine died. All records are whole; continue with: "
        "raytune-planes tune --resume 'my study' --out '/some where'\n"
    )
    assert (driver.returncode, output) == (1, "")
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert alive == []


QUIET = DRIVER.replace("lost.wait(50)\n        raise KeyboardInterrupt", "pass")


def test_daemons_that_live_are_left_alone(tmp_path: Path) -> None:
    for name in ("gcs_server", "log_monitor", "agent"):
        shutil.copy("/bin/sleep", tmp_path / name)
    shutil.copy("/bin/sh", tmp_path / "raylet")
    command = [sys.executable, "-c", QUIET, str(tmp_path), "quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        processes = [psutil.Process(int(pid)) for pid in driver.stdout.readline().split()]
        try:
            assert driver.stdout.readline() == "left the block\n"
            assert driver.wait() == 0
            assert [p.name() for p in processes if p.is_running()] == ["raylet", "gcs_server", "log_monitor", "agent"]
        finally:
            for process in processes:
                process.kill()


JOINED = """
import sys, threading
from pathlib import Path
from raytune_planes.terminal import make_view
from raytune_planes.tuning import daemons, joining
from raytune_planes.tuning.cluster import Cluster
daemons.ASK_S, daemons.PATIENCE_S, joining.PATIENCE_S = 0.1, 1.0, 0.5
lost = threading.Event()
tell = daemons.resumable(make_view(sys.stdout), "my study", Path("/some where"))
with daemons.Guard(Cluster((), joined=sys.argv[1]), lambda why: lost.set(), tell):
    print("joined", flush=True)
    sys.stdin.readline() if sys.argv[2] == "in order" else lost.wait(50)
print("left the block", flush=True)
"""


def joining(address: str, kind: str) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    driver = subprocess.Popen([sys.executable, "-c", JOINED, address, kind], text=True, **pipes)
    assert driver.stdout is not None
    assert driver.stdout.readline() == "joined\n"
    return driver


def test_a_joined_head_that_answers_no_more_ends_the_driver_in_words() -> None:
    with ray_head(lambda: None) as address:
        driver = joining(address, "lost")
    output, errors = driver.communicate(timeout=60)
    assert errors == (
        f"The Ray cluster at {address} has not answered for 1 s. All records are whole; continue with: "
        "raytune-planes tune --resume 'my study' --out '/some where'\n"
    )
    assert (driver.returncode, output) == (1, "")


def test_a_joined_head_may_miss_one_question() -> None:
    answers: list[int] = []

    def refuse() -> grpc.StatusCode | None:
        answers.append(1)
        return grpc.StatusCode.UNAVAILABLE if len(answers) % 2 else None

    with ray_head(refuse) as address:
        driver = joining(address, "in order")
        while len(answers) < 6:
            assert driver.poll() is None
        assert driver.communicate("end\n", timeout=60) == ("left the block\n", "")
    assert driver.returncode == 0
