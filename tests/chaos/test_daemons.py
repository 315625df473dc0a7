"""A study whose Ray loses one of its own processes says so, leaves none of them, and goes on when it is resumed."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import psutil
import pytest

from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.records import End
from raytune_planes.tracking import read_study
from tests.chaos.attack import SPACE, Study

LIMIT_S = 400.0


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["raylet", "gcs_server"])
def test_a_study_that_loses_a_daemon_of_ray_says_how_to_go_on_and_does(tmp_path: Path, victim: str) -> None:
    space, data = tmp_path / "chaos.yaml", tmp_path / "data"
    space.write_text(SPACE.format(epochs=6, steps=6))
    synthesise(data, planesnet=48, hrplanes=4, fgvc=24, fgvc_classes=3, seed=0, scene_side=320)
    words = (str(space), "--data", str(data), "--cache", str(tmp_path / "cache"), "--no-rungs", "--no-references")
    study = Study(tmp_path / "out", "shot", (*words, "--trials", "2", "--concurrent", "1"))
    deadline = time.monotonic() + LIMIT_S
    study.start()
    try:
        while study.epochs < 2 and study.ended() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        ray = study.children()
        daemon = next(p for p in ray if p.name() == victim)
        daemon.kill()
        while study.ended() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert study.ended() == 1, study.said()
        _, alive = psutil.wait_procs(ray, timeout=20)
        assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
        told = f"Ray's process {victim} ({daemon.pid}) on this machine died. All records are whole; "
        program = f"{sys.executable} -m raytune_planes"  # as the study was called
        assert study.said().endswith(f"{told}continue with: {program} tune --resume shot --out {study.out}\n")
        assert not re.search(r"^(\x1b\[\d+m)?\((raylet|gcs_server)\)|core_worker|Traceback", study.said(), re.M)
        before = read_study(study.folder).trials[0].epochs
        assert len(before) >= 2

        study.start()
        while study.ended() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert study.ended() == 0, study.said()
        trials = read_study(study.folder).trials
        assert [(t.number, t.end in (End.COMPLETED, End.CONVERGED)) for t in trials] == [(0, True), (1, True)]
        assert trials[0].epochs[: len(before)] == before
    finally:
        if study.ended() is None:
            study.kill()
