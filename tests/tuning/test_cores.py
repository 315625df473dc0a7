"""What is said of the cores that a study used."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes import system
from raytune_planes.tuning.cores import CoreTime


def test_cores_are_told_as_busy_and_what_others_took_only_when_it_is_much() -> None:
    assert CoreTime(180.0).of(2, 100.0) == "1.8 of 2 cores busy (90 %)"
    assert CoreTime(180.0, 9.0).of(2, 100.0) == "1.8 of 2 cores busy (90 %)"
    slowed = "0.8 of 2 cores busy (40 %); other programs slowed the trials, which had work for 95 % of the time"
    assert CoreTime(80.0, 110.0).of(2, 100.0) == slowed
    assert "100 %" in CoreTime(80.0, 1000.0).of(2, 100.0), "threads that wait together count as often as they are"
    assert CoreTime().of(2, 0.0) == "0.0 of 2 cores busy (0 %)"


def test_core_time_adds_up_over_trials_and_over_the_processes_of_one() -> None:
    before, after = CoreTime(1.0, 0.5), CoreTime(3.0, 1.0)
    assert after.since(before) == CoreTime(2.0, 0.5)
    assert after.since(before, processes=2) == CoreTime(4.0, 1.0)
    assert after.since(CoreTime(0.0, 2.0)).waited_s == 0.0, "a thread that has ended takes its count along"
    assert sum([CoreTime(1.0, 0.25)] * 2, CoreTime()) == CoreTime(2.0, 0.5)


def test_a_process_reads_its_own_time_and_none_where_the_system_does_not_tell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = CoreTime.now()
    sum(i * i for i in range(300_000))
    assert CoreTime.now().since(before).busy_s > 0
    for name, text in {"1": "5 2000000000 3\n", "2": "5 1000000000 1\n", "3": "", "4": "x y z\n"}.items():
        (tmp_path / "task" / name).mkdir(parents=True)
        (tmp_path / "task" / name / "schedstat").write_text(text)
    monkeypatch.setattr(system, "PROC", tmp_path)
    assert CoreTime.now().waited_s == 3.0
    monkeypatch.setattr(system, "PROC", tmp_path / "none")
    assert CoreTime.now().waited_s == 0.0
