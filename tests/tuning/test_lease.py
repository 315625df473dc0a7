"""One driver at a time for a study's folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raytune_planes.errors import UserError
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
