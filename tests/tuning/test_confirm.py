"""The final check: who is trained again, what the table says, and a test split that is looked at once."""

from __future__ import annotations

from pathlib import Path

from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.report.confirmed import confirmed
from raytune_planes.tuning.confirm import RESULT, choose, describe, train_again
from tests.tuning.tiny import GOAL, tiny_plan


def trial(number: int, accuracy: float, planes: float = 0.9, end: End = End.COMPLETED) -> TrialRecord:
    metrics = {"val/fgvc/accuracy": accuracy, "val/hrplanes/iou": 0.5, "val/planesnet/accuracy": planes}
    return TrialRecord(f"t{number}", number, {}, {}, (EpochRecord(1, 1, 1, metrics),), end)


def test_the_defaults_stand_beside_the_best_that_keep_their_floors() -> None:
    trials = [trial(0, 0.2), trial(1, 0.5), trial(2, 0.9, planes=0.05), trial(3, 0.6), trial(4, 0.8, end=End.PRUNED)]
    assert [t.number for t in choose(trials, GOAL, 2)] == [0, 3, 1]
    assert [t.number for t in choose(trials, GOAL, 9)] == [0, 3, 1, 2]


def test_the_table_has_a_column_for_each_configuration_with_its_n_and_names_failures() -> None:
    results = [{"test/fgvc/accuracy": v, "test/fgvc/loss": 1.0, "test/fgvc/images": 40.0} for v in (0.5, 0.6, 0.7)]
    text = describe([confirmed(0, results), confirmed(3, [], ["does not fit into memory"])])
    line = next(line for line in text.splitlines() if "test/fgvc/accuracy" in line)
    assert line.split() == ["test/fgvc/accuracy", "0.6000", "[0.3953,", "0.7749]", "-", "40", "pictures"]
    assert "defaults: 3 seeds" in text
    assert "loss" not in text
    assert "trial 3: does not fit into memory" in text
    assert "Wilson" in text


def test_with_two_seeds_the_table_shows_what_each_of_them_found_and_no_interval() -> None:
    results = [{"test/hrplanes/iou": v, "test/hrplanes/images": 96.0, "test/hrplanes/scenes": 6.0} for v in (1.0, 0.83)]
    line = next(line for line in describe([confirmed(0, results)]).splitlines() if "test/hrplanes/iou" in line)
    assert line.split() == ["test/hrplanes/iou", "1.0000,", "0.8300", "6", "scenes"]


def test_a_configuration_trained_again_is_measured_on_the_test_split_and_kept(tmp_path: Path) -> None:
    task = tiny_plan(tmp_path).task(tmp_path)
    result = train_again(task, {"optim.lr": 0.003}, 5, tmp_path / "again")
    assert {key.split("/")[0] for key in result["metrics"]} == {"test"}
    assert 0 <= result["metrics"]["test/fgvc/accuracy"] <= 1
    assert not list((tmp_path / "again").glob("*.pt")), "the result is all that is read"
    kept = (tmp_path / "again" / RESULT).stat().st_mtime_ns
    assert train_again(task, {"optim.lr": 0.003}, 5, tmp_path / "again") == result
    assert (tmp_path / "again" / RESULT).stat().st_mtime_ns == kept


def test_a_configuration_that_fails_again_says_why(tmp_path: Path) -> None:
    task = tiny_plan(tmp_path).task(tmp_path)
    assert "does not divide" in train_again(task, {"model.dit.heads": 3}, 1, tmp_path / "a")["failed"]
    assert "nan" in train_again(task, {"datasets.fgvc.weight": 1e308}, 1, tmp_path / "b")["failed"]
