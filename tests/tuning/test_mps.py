"""A study whose trials share a GPU says whether they compute at the same time, and how they would."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raytune_planes.tuning.mps import told


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    path = tmp_path / "nvidiactl"
    path.touch()
    return path


def test_a_daemon_that_runs_is_found_by_its_pipe(driver: Path, tmp_path: Path) -> None:
    where = {"CUDA_MPS_PIPE_DIRECTORY": str(tmp_path / "mps")}
    (waiting,) = told(0.25, where, driver)
    assert waiting.startswith("trials that share a GPU take turns on it")
    assert "'nvidia-cuda-mps-control -d' on each host before the study" in waiting
    (tmp_path / "mps").mkdir()
    os.mkfifo(tmp_path / "mps" / "control")
    assert list(told(0.25, where, driver)) == [
        "NVIDIA MPS runs on this machine: trials that share a GPU compute at the same time"
    ]


@pytest.mark.parametrize("share", [0.0, 1.0, 2.0])
def test_nothing_is_said_where_no_gpu_is_shared(share: float, driver: Path) -> None:
    assert list(told(share, {}, driver)) == []


def test_nothing_is_said_on_a_machine_without_a_gpu(tmp_path: Path) -> None:
    assert list(told(0.5, {}, tmp_path / "no driver")) == []
