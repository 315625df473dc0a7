"""Our trials in the published log format."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.tracking import JsonlTracker, published_log
from raytune_planes.tracking.published import CONTRASTIVE, SEGMENTATION
from tests.tracking.studies import play, three_trials


def test_the_published_log_has_the_published_keys_and_units() -> None:
    """Epoch 2 has a cross-entropy of 3 nats and half of the contrastive loss of guessing among 32."""
    entry = published_log(three_trials()[0])[1]
    assert entry["epoch"] == 2
    clip = 0.5 * math.log(32)
    total = 3.0 + 0.5 * clip
    fgvc = {"cls_loss": 3.0, "seg_loss": 0.0, "clip_loss": clip, "total_loss": total, "accuracy": 0.4}
    assert entry["train"] == {"fgvc": pytest.approx(fgvc)}
    assert entry["val"]["fgvc"] == {"loss": 4.5, "accuracy": 0.3, "seg_loss": 0.0}


def test_records_without_a_cross_entropy_have_no_loss_in_another_unit() -> None:
    first = three_trials()[0]
    old = [replace(e, metrics={k: v for k, v in e.metrics.items() if "cross_entropy" not in k}) for e in first.epochs]
    entry = published_log(replace(first, epochs=tuple(old)))[0]
    assert entry["val"]["fgvc"] == {"accuracy": 0.1, "seg_loss": 0.0}
    assert not {"cls_loss", "total_loss"} & set(entry["train"]["fgvc"])


def test_the_published_total_is_the_weighted_sum_of_the_published_terms() -> None:
    path = Path(__file__).resolve().parents[3] / "shared/real/baseline_log.json"
    if not path.is_file():
        pytest.skip("the published log is not here")
    for entry in json.loads(path.read_text()):
        for terms in entry["train"].values():
            total = terms["cls_loss"] + SEGMENTATION * terms["seg_loss"] + CONTRASTIVE * terms["clip_loss"]
            assert total == pytest.approx(terms["total_loss"], abs=1e-6)


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
