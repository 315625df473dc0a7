"""The final check: who is trained again, what an interval is, and a test split that is looked at once."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.tuning.confirm import RESULT, Confirmed, choose, describe, interval, train_again
from tests.tuning.tiny import GOAL, tiny_plan


def trial(number: int, accuracy: float, planes: float = 0.9, end: End = End.COMPLETED) -> TrialRecord:
    metrics = {"val/fgvc/accuracy": accuracy, "val/hrplanes/iou": 0.5, "val/planesnet/accuracy": planes}
    return TrialRecord(f"t{number}", number, {}, {}, (EpochRecord(1, 1, 1, metrics),), end)


def test_the_defaults_stand_beside_the_best_that_keep_their_floors() -> None:
    trials = [trial(0, 0.2), trial(1, 0.5), trial(2, 0.9, planes=0.05), trial(3, 0.6), trial(4, 0.8, end=End.PRUNED)]
    assert [t.number for t in choose(trials, GOAL, 2)] == [0, 3, 1]
    assert [t.number for t in choose(trials, GOAL, 9)] == [0, 3, 1, 2]


def test_an_interval_is_students() -> None:
    found = interval([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert (found.low, found.high) == (pytest.approx(2 - 4.303 / math.sqrt(3)), pytest.approx(2 + 4.303 / math.sqrt(3)))
    many = interval([0.0, 1.0] * 20)
    assert many.high - many.mean == pytest.approx(2.0227 * 0.50637 / math.sqrt(40), rel=2e-3)
    assert math.isnan(interval([1.0]).low)


def test_the_table_has_a_column_for_each_configuration_and_names_failures() -> None:
    found = {"test/fgvc/accuracy": interval([0.1, 0.2]), "test/fgvc/loss": interval([1.0, 1.0])}
    text = describe([Confirmed(0, found), Confirmed(3, {}, ("does not fit into memory",))])
    assert "defaults" in text
    assert "0.1500 [-0.4853, 0.7853]" in text
    assert "loss" not in text
    assert "trial 3: does not fit into memory" in text


def test_a_configuration_trained_again_is_measured_on_the_test_split_and_kept(tmp_path: Path) -> None:
    task = tiny_plan(tmp_path).task(tmp_path)
    result = train_again(task, {"optim.lr": 0.003}, 5, tmp_path / "again")
    assert {key.split("/")[0] for key in result["metrics"]} == {"test"}
    assert 0 <= result["metrics"]["test/fgvc/accuracy"] <= 1
    (tmp_path / "again" / "last.pt").unlink()
    kept = (tmp_path / "again" / RESULT).stat().st_mtime_ns
    assert train_again(task, {"optim.lr": 0.003}, 5, tmp_path / "again") == result
    assert (tmp_path / "again" / RESULT).stat().st_mtime_ns == kept


def test_a_configuration_that_fails_again_says_why(tmp_path: Path) -> None:
    task = tiny_plan(tmp_path).task(tmp_path)
    assert "does not divide" in train_again(task, {"model.dit.heads": 3}, 1, tmp_path / "a")["failed"]
    assert "nan" in train_again(task, {"datasets.fgvc.weight": 1e308}, 1, tmp_path / "b")["failed"]
