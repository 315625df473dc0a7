"""When one of Ray's daemons dies, all that Ray started ends with the driver, which says how to go on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

DRIVER = """
import subprocess, sys, threading, time
from pathlib import Path
import psutil
from raytune_planes.terminal import make_view
from raytune_planes.tuning import daemons
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
started = [psutil.Process(p.pid) for p in (raylet, *others)]
try:
    with daemons.Guard(started, on_loss, tell):
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
