"""What Linux alone tells has a way on where the system tells nothing, as on a Mac."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from raytune_planes import memory, processors, system
from raytune_planes.tuning.cores import CoreTime


def test_a_machine_is_known_by_its_start_or_else_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("3f1c-77\n")
    assert system.machine(tmp_path / "self") == "3f1c-77"
    assert system.machine(tmp_path / "nowhere" / "self") == socket.gethostname()


def test_without_proc_everything_that_is_asked_of_the_system_has_an_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(system, "PROC", tmp_path / "nowhere" / "self")
    assert list(system.control_groups("cpu")) == list(system.control_groups("memory")) == []
    assert system.waited_s() == CoreTime.now().waited_s == 0.0
    assert system.machine() == socket.gethostname()
    assert processors.quotas() == memory.limits() == []
    assert not memory.is_limited()
    assert "quota" not in processors.in_words() or "neither affinity nor quota" in processors.in_words()
