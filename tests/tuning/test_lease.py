"""One driver at a time for a study's folder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from raytune_planes.errors import UserError
from raytune_planes.tuning import lease
from raytune_planes.tuning.lease import FILE, STALE_S, Lease


def test_a_second_driver_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    with Lease(tmp_path), pytest.raises(UserError, match=f"is being run by process {os.getpid()}"), Lease(tmp_path):
        pass
    with Lease(tmp_path):
        pass
    assert not (tmp_path / FILE).exists()


def test_a_killed_driver_leaves_the_folder_to_the_next(tmp_path: Path) -> None:
    code = "import os; from pathlib import Path; from raytune_planes.tuning.lease import Lease\n"
    code += f"Lease(Path({str(tmp_path)!r})).__enter__(); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert (tmp_path / FILE).exists()
    with Lease(tmp_path):
        assert json.loads((tmp_path / FILE).read_text())["pid"] == os.getpid()


def test_a_driver_on_another_machine_holds_the_folder_until_its_lease_is_stale(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "born": "1.0"}))
    with pytest.raises(UserError, match="process 1 on elsewhere"), Lease(tmp_path):
        pass
    long_ago = time.time() - STALE_S - 1
    os.utime(path, (long_ago, long_ago))
    with Lease(tmp_path):
        pass


def test_a_file_that_its_writer_did_not_fill_holds_nobody(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("")
    with Lease(tmp_path):
        pass


@pytest.mark.parametrize("lives", [True, False])
def test_after_a_clock_was_set_back_only_a_renewal_says_that_a_driver_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lives: bool
) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.2)
    path, tomorrow = tmp_path / FILE, time.time() + 86_400
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "born": "1.0"}))
    os.utime(path, (tomorrow, tomorrow))
    renewal = threading.Timer(0.1, os.utime, [path])
    if lives:
        renewal.start()
        with pytest.raises(UserError, match="process 1 on elsewhere"), Lease(tmp_path):
            pass
        renewal.join()
    else:
        with Lease(tmp_path):
            pass


def test_a_driver_that_slept_while_another_took_its_place_is_told_and_leaves_the_other_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.05)
    told = threading.Event()
    with Lease(tmp_path, told.set):
        other = json.dumps({"host": "elsewhere", "pid": 1, "born": "1.0"})
        (tmp_path / FILE).write_text(other)
        assert told.wait(30)
    assert (tmp_path / FILE).read_text() == other


def test_two_drivers_that_find_a_dead_one_do_not_both_take_its_place(tmp_path: Path) -> None:
    dead = {"host": socket.gethostname(), "pid": 2**22 + 1, "born": "1.0"}
    (tmp_path / FILE).write_text(json.dumps(dead))
    code = "import sys, time; from pathlib import Path; from raytune_planes.tuning.lease import Lease\n"
    code += f"with Lease(Path({str(tmp_path)!r})): print('mine', flush=True); sys.stdin.read()"
    drivers = [
        subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, stderr=-3, text=True) for _ in range(2)
    ]
    first = [d.stdout.readline() for d in drivers if d.stdout]
    for driver in drivers:
        driver.communicate("")
    assert sorted(first) == ["", "mine\n"]
