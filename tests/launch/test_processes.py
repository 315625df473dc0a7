"""Children get their signals once, and only a cluster's own processes are found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from raytune_planes.launch import processes

COUNTER = """
import signal, sys, time
seen = []
def note(number, frame): seen.append(number)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, note)
print("ready", flush=True)
end = time.monotonic() + 20
while not seen and time.monotonic() < end: time.sleep(0.05)
time.sleep(0.6)
print("seen", *[int(n) for n in seen], flush=True)
sys.exit(40 + len(seen))
"""

PARENT = """
import os, sys
from raytune_planes.launch.processes import run
sys.exit(run([sys.executable, "-c", sys.argv[1]], os.environ, interactive=sys.argv[2] == "interactive"))
"""


def parent(script: str, kind: str = "script", program: str = PARENT) -> subprocess.Popen[str]:
    """A process that runs ``script`` through ``processes.run``, once ``script`` has said that it is ready."""
    command = [sys.executable, "-c", program, script, kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_command_reaches_the_script_once(number: signal.Signals) -> None:
    process = parent(COUNTER)
    os.killpg(process.pid, number)  # as a terminal's Ctrl-C does
    process.send_signal(number)  # and as `timeout` adds
    output, _ = process.communicate(timeout=30)
    assert output == f"seen {int(number)}\n"
    assert process.returncode == 41


AGAIN = """
import os, signal, sys, time
from raytune_planes.launch.processes import run
kill, calls = os.kill, []
def kill_and_get_it_again(pid, number):
    kill(pid, number)
    calls.append(number)
    if len(calls) == 1:
        time.sleep(0.3)  # the script has seen the first, so that the kernel does not merge a second with it
        kill(os.getpid(), number)
os.kill = kill_and_get_it_again
sys.exit(run([sys.executable, "-c", sys.argv[1]], os.environ, interactive=False))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_arrives_again_while_it_is_passed_on_reaches_the_script_once(number: signal.Signals) -> None:
    process = parent(COUNTER, program=AGAIN)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert output == f"seen {int(number)}\n"
    assert process.returncode == 41


def test_signals_of_two_kinds_both_reach_the_script() -> None:
    process = parent(COUNTER)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert sorted(output.split()[1:]) == ["1", "15"]
    assert process.returncode == 42


LATE = """
import os, signal, sys, threading
from raytune_planes.launch.processes import run, TWICE_S
threading.Timer(2 * TWICE_S, os.kill, (os.getpid(), signal.SIGINT)).start()
sys.exit(run([sys.executable, "-c", sys.argv[1]], os.environ, interactive=False))
"""


def test_a_second_wish_is_passed_on() -> None:
    patient = COUNTER.replace("not seen", "len(seen) < 2")
    process = parent(patient, program=LATE)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert (output, process.returncode) == ("seen 2 2\n", 42)


def test_an_interactive_command_gets_ctrl_c_from_the_terminal_alone() -> None:
    process = parent(COUNTER, "interactive")
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert output == f"seen {int(signal.SIGINT)}\n"
    assert process.returncode == 41


@pytest.mark.parametrize(
    ("script", "status"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_the_exit_status_is_the_scripts(script: str, status: int) -> None:
    assert processes.run([sys.executable, "-c", script], os.environ, interactive=False) == status


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in processes.PASSED_ON]
    processes.run(["true"], os.environ, interactive=False)
    assert [signal.getsignal(number) for number in processes.PASSED_ON] == before


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Commands that the test starts, ended after it."""
    children: list[subprocess.Popen[bytes]] = []
    yield children
    for child in children:
        child.kill()
        child.wait()


def test_daemons_are_told_by_the_folder_of_their_session(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    package = tmp_path / "site-packages" / "ray"
    package.mkdir(parents=True)
    daemon = package / "daemon.py"
    daemon.write_text("import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])")

    def start(*command: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(command))
        return started[-1]

    mine = start(sys.executable, str(daemon), f"--session-dir={tmp_path}/mine/ray/session_1")
    start(sys.executable, str(daemon), f"--session-dir={tmp_path}/mine-too/ray/session_1")  # another cluster
    start("tail", "-f", "/dev/null", f"{tmp_path}/mine/ray/session_1/logs/monitor.out")  # somebody who reads
    deadline = time.monotonic() + 20
    while len(found := processes.ray_processes(tmp_path / "mine")) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    worker = psutil.Process(mine.pid).children()
    assert {p.pid for p in found} == {mine.pid, worker[0].pid}
    processes.end(found, 5)
    assert not processes.ray_processes(tmp_path / "mine")
    assert len(processes.ray_processes(tmp_path / "mine-too")) >= 1


def test_what_does_not_end_when_asked_is_killed(started: list[subprocess.Popen[bytes]]) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
    started.append(child)
    assert child.stdout is not None
    child.stdout.readline()
    processes.end({psutil.Process(child.pid)}, 0.3)
    child.stdout.close()
    assert not psutil.pid_exists(child.pid)


def test_a_script_is_recorded_while_it_runs_and_another_process_under_its_id_is_not_taken_for_it(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "scripts"
    script = textwrap.dedent(f"""
        from pathlib import Path
        from raytune_planes.launch.processes import recorded
        import os, time
        time.sleep(0.5)  # the note is written just after the start
        raise SystemExit(0 if [p.pid for p in recorded(Path({str(folder)!r}))] == [os.getpid()] else 1)
    """)
    assert processes.run([sys.executable, "-c", script], os.environ, interactive=False, record=folder) == 0
    assert list(folder.iterdir()) == []
    (folder / str(os.getpid())).write_text("1.0")
    (folder / "1 and a half").write_text("no note")
    assert processes.recorded(folder) == set()
