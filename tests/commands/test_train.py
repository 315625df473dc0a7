"""Training one configuration without a search: which goal it is trained for, and what a refused one leaves: nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raytune_planes.cli import main
from raytune_planes.commands.train import _goal_of_study
from raytune_planes.records import Goal, Objective
from raytune_planes.tracking.base import StudyStart
from raytune_planes.tracking.jsonl import JsonlTracker

GOAL = Goal((Objective("val/fgvc/accuracy"),), {"val/planesnet/accuracy": 0.9})


@pytest.mark.parametrize("config", ["best.yaml", "trials/0003-ab12cd34/config.yaml"])
def test_a_configuration_of_a_study_is_trained_for_its_goal_with_its_floors(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    JsonlTracker(tmp_path).start_study(StudyStart("night", GOAL))
    assert _goal_of_study(tmp_path / "night" / config) == GOAL
    assert "the goal of study night, and its floors hold" in capsys.readouterr().out


def test_a_configuration_from_elsewhere_has_no_goal_of_a_study(tmp_path: Path) -> None:
    JsonlTracker(tmp_path).start_study(StudyStart("night", GOAL))
    assert _goal_of_study(tmp_path / "own.yaml") is None
    assert _goal_of_study(None) is None


def test_a_device_that_is_not_there_is_refused_before_any_folder_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = "cuda" if torch.backends.mps.is_available() else "mps"
    if missing == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has every device")
    assert main(["train", "--set", f"devices.vision={missing}"]) == 2
    said = capsys.readouterr()
    assert (said.out, list(tmp_path.iterdir())) == ("", [])
    assert f"a device setting asks for {missing}" in said.err


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("model.backbone.kind=timm/resnet81", "timm has no network 'resnet81'; did you mean 'resnet"),
        ("model.backbone.weights=gone.pth", "gone.pth does not exist"),
    ],
)
def test_an_encoder_that_cannot_be_had_is_refused_before_any_picture_is_read(
    setting: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "--data", "nowhere", "--set", "model.backbone.kind=efficientnet_lite0", "--set", setting]
    assert main(words) == 2
    said = capsys.readouterr()
    assert (said.out, list(tmp_path.iterdir())) == ("", [])
    assert told in said.err, "not that there is no folder of pictures"


@pytest.mark.parametrize("out", [[], ["--out", "own"], ["--out", "there"]])
def test_a_training_that_is_refused_leaves_no_folder_behind(
    out: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "there").mkdir()
    assert main(["train", "--data", "data", *out]) == 2
    assert "planesnet" in capsys.readouterr().err
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left <= {"data", "there", "results"}, "a folder that was there stays, without a file of ours"
