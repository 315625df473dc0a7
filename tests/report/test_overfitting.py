"""The gap between training and validation, on epochs made by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.report import overfitting
from raytune_planes.report.build import study_report
from raytune_planes.report.drawing import save
from raytune_planes.report.figure import Figure, Missing
from raytune_planes.report.interactive import of_gaps
from raytune_planes.report.overfitting import Gaps
from raytune_planes.tracking import StudyFiles
from tests.report.test_search import study
from tests.tracking.studies import GOAL, ended, epoch, on_folds, three_trials, trial

COUNTS = {"train/fgvc/images": 400.0, "val/fgvc/images": 100.0}


def record(*pairs: tuple[float, float]) -> TrialRecord:
    """A trial with these accuracies of training and validation on fgvc."""
    epochs = [
        epoch(i, val, **{"train/fgvc/accuracy": train, **COUNTS}) for i, (train, val) in enumerate(pairs, start=1)
    ]
    return ended(trial(0), End.COMPLETED, "done", *epochs)


def found(one: TrialRecord, where: StudyFiles | None = None, budget: int = 0) -> Gaps:
    numbers = overfitting.gaps(where or study(one), one, GOAL, budget)
    assert isinstance(numbers, Gaps)
    return numbers


def test_the_gap_is_training_less_validation_with_newcombes_interval() -> None:
    course = found(record((0.5, 0.6), (0.9, 0.7), (0.95, 0.65))).courses["fgvc"]
    assert course.metric == "accuracy"
    assert [course.gap(i) for i in range(3)] == pytest.approx([-0.1, 0.2, 0.3])
    # Wilson's: 90 % of 400 is 0.8667 to 0.9257, 70 % of 100 is 0.6042 to 0.7811 (R: prop.test without correction).
    assert course.interval(1) == pytest.approx((0.6042, 0.7811), abs=1e-4)
    low, high = 0.2 - math.hypot(0.9 - 0.8667, 0.7811 - 0.7), 0.2 + math.hypot(0.9257 - 0.9, 0.7 - 0.6042)
    assert course.gap_interval(1) == pytest.approx((low, high), abs=1e-4)


def test_a_dataset_without_a_training_metric_is_shown_by_its_losses_the_gap_turned() -> None:
    def measured(number: int, train: float, val: float) -> EpochRecord:
        metrics = {"train/hrplanes/loss": train, "val/hrplanes/loss": val, "val/hrplanes/iou": 0.5}
        return replace(epoch(number, 0.5), metrics=metrics)

    one = ended(trial(0), End.COMPLETED, "done", measured(1, 2.0, 2.0), measured(2, 1.0, 1.5))
    course = found(one).courses["hrplanes"]
    assert (course.metric, course.gap(0), course.gap(1), course.gap_interval(1)) == ("loss", 0.0, 0.5, None)


def test_an_epoch_without_a_step_has_no_gap_and_the_last_one_with_both_is_named() -> None:
    one = record((0.5, 0.4), (0.9, 0.8))
    last = epoch(3, 0.6, **COUNTS)
    rested = replace(last, metrics={k: v for k, v in last.metrics.items() if not k.startswith("train/fgvc")})
    one = replace(one, epochs=(*one.epochs, rested))
    numbers = found(one)
    assert math.isnan(numbers.courses["fgvc"].gap(2))
    assert numbers.kept == 2
    (table,) = overfitting.section(study(one), one, "the defaults").tables
    row = next(row for row in table.rows if row[0] == "fgvc")
    assert table.header[0] == "the defaults, epoch 2"
    assert row[2] == "0.9000"
    assert row[3].startswith("0.8000 [0.7")
    assert row[4].startswith("+0.1000 [")
    assert row[5].endswith(", epoch 2")
    assert row[6] == "not looked at"


def test_the_test_split_is_shown_where_it_was_looked_at_at_the_same_budget(tmp_path: Path) -> None:
    one = record((0.5, 0.4), (0.9, 0.8))
    looked = {"number": 0, "metrics": {"test/fgvc/accuracy": {"values": [0.7, 0.8]}}, "failures": []}
    (tmp_path / "confirm.json").write_text(json.dumps([looked]))
    where = replace(study(one), folder=tmp_path)
    test = found(one, where).courses["fgvc"].test
    assert test is not None
    assert test.values == (0.7, 0.8)
    assert overfitting.section(where, one, "x").tables[0].rows[0][-1] == "0.7000, 0.8000"
    (tmp_path / "confirm.json").write_text(json.dumps([{**looked, "epochs": 24}]))
    assert found(one, where).courses["fgvc"].test is None
    assert found(one, where, budget=24).courses["fgvc"].test is not None


def test_of_a_trial_on_folds_the_first_is_shown_and_its_best_epoch_marked() -> None:
    numbers = found(on_folds(three_trials()[3], 0.4, 0.5))
    assert (numbers.epochs, numbers.kept) == ((1,), 1)
    assert numbers.courses["fgvc"].validation == (0.4,)


def test_what_cannot_be_compared_is_missing_with_its_reason() -> None:
    nothing = overfitting.gaps(study(trial(0)), trial(0), GOAL, 0)
    assert nothing == Missing("no epoch was finished")
    bare = ended(trial(0), End.COMPLETED, "done", replace(epoch(1, 0.5), metrics={"val/fgvc/accuracy": 0.5}))
    assert overfitting.gaps(study(bare), bare, GOAL, 0) == Missing(
        "the records hold no metric of training and validation alike"
    )


def test_a_report_shows_the_gaps_of_the_best_trial_as_figure_table_and_data(tmp_path: Path) -> None:
    one = record((0.5, 0.4), (0.9, 0.8))
    report = study_report(study(one), Missing(""), Missing(""))
    part = next(s for s in report.sections if s.heading == overfitting.HEADING)
    (figure,) = part.figures
    assert isinstance(figure, Figure)
    assert figure.title == "Training, validation and test of the defaults"
    (panel,) = report.data["overfitting"]["panels"]
    assert report.data["overfitting"] == of_gaps(figure.numbers)
    assert (panel["title"], panel["training"], panel["gaps"]) == ("fgvc accuracy", [0.5, 0.9], pytest.approx([0.1] * 2))
    assert [path.name for path in save(figure, tmp_path)] == ["overfitting.png", "overfitting.svg"]
