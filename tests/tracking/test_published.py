"""Our trials in the published log format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytune_planes.tracking import JsonlTracker, published_log
from tests.tracking.studies import play, three_trials


def test_the_published_log_has_the_published_keys() -> None:
    entry = published_log(three_trials()[0])[1]
    assert entry["epoch"] == 2
    fgvc = {"cls_loss": 1.0, "seg_loss": 0.0, "clip_loss": 0.5, "total_loss": 1.5, "accuracy": 0.4}
    assert entry["train"] == {"fgvc": fgvc}
    assert entry["val"]["fgvc"] == {"loss": 2.5, "accuracy": 0.3, "seg_loss": 0.0}


def test_the_published_log_of_the_baseline_has_the_same_shape(tmp_path: Path) -> None:
    path = Path(__file__).resolve().parents[3] / "shared/real/baseline_log.json"
    if not path.is_file():
        pytest.skip("the published log is not here")
    theirs, ours = json.loads(path.read_text())[0], published_log(three_trials()[0])[0]
    assert ours.keys() == theirs.keys()
    for split in ("train", "val"):
        assert ours[split]["fgvc"].keys() == theirs[split]["fgvc"].keys()


def test_logs_of_the_best_and_of_the_defaults_are_written(tmp_path: Path) -> None:
    play(JsonlTracker(tmp_path))
    for number in (0, 3):
        assert json.loads((tmp_path / f"logs/quick-1-{number:04d}.json").read_text()) == published_log(
            three_trials()[number]
        )
