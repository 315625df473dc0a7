"""How much memory a process may use: the machine's, or the limit of its control groups where that is less."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from raytune_planes import memory
from raytune_planes.memory import GIB, granted, is_limited, limits

MACHINE = 64 * GIB


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=MACHINE))


def v2(folder: Path, contents: dict[str, str], path: str = "/user/job", root: str = "/") -> Path:
    """What Linux tells of a process in the group ``path`` of version 2; ``contents``: folder -> memory.max."""
    for inside, content in contents.items():
        (folder / "cgroup" / inside).mkdir(parents=True, exist_ok=True)
        (folder / "cgroup" / inside / "memory.max").write_text(content + "\n")
    (folder / "proc").mkdir()
    (folder / "proc" / "cgroup").write_text(f"0::{path}\n")
    (folder / "proc" / "mountinfo").write_text(
        f"31 22 0:27 {root} {folder}/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    )
    return folder / "proc"


@pytest.mark.parametrize(
    ("contents", "bytes_"),
    [
        ({"user/job": "max"}, MACHINE),
        ({"user/job": str(4 * GIB)}, 4 * GIB),
        ({"user/job": "max", "user": str(3 * GIB)}, 3 * GIB),  # a group above limits as well
        ({"user/job": str(8 * GIB), "user": str(9 * GIB)}, 8 * GIB),
        ({"user/job": str(128 * GIB)}, MACHINE),
        ({"user/job": "nonsense"}, MACHINE),
        ({"another": str(GIB)}, MACHINE),
    ],
)
def test_the_least_limit_of_a_group_and_those_above_it_counts(
    tmp_path: Path, contents: dict[str, str], bytes_: int
) -> None:
    proc = v2(tmp_path, contents)
    assert granted(proc) == bytes_
    assert is_limited(proc) == (bytes_ < MACHINE)


def test_a_container_that_sees_its_own_group_as_the_root_is_limited_by_it(tmp_path: Path) -> None:
    assert granted(v2(tmp_path, {"": str(2 * GIB)}, path="/docker/abc", root="/docker/abc")) == 2 * GIB


@pytest.mark.parametrize(("content", "bytes_"), [(str(5 * GIB), 5 * GIB), ("9223372036854771712", MACHINE)])
def test_version_1_of_control_groups_limits_too(tmp_path: Path, content: str, bytes_: int) -> None:
    mount, proc = tmp_path / "memory", tmp_path / "proc"
    (mount / "docker/abc").mkdir(parents=True)
    (mount / "docker/abc/memory.limit_in_bytes").write_text(content + "\n")
    proc.mkdir()
    (proc / "cgroup").write_text("4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n")
    (proc / "mountinfo").write_text(f"33 32 0:30 / {mount} rw,relatime - cgroup cgroup rw,memory\n")
    assert granted(proc) == bytes_


def test_a_system_without_proc_grants_the_machines_memory(tmp_path: Path) -> None:
    assert limits(tmp_path / "nowhere") == []
    assert memory.granted(tmp_path / "nowhere") == MACHINE
