"""Would more data help: the curve of records made by hand, in words, table, chart and page."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.records import End
from raytune_planes.report import data_curve
from raytune_planes.report.build import study_report
from raytune_planes.report.data_curve import Curve, Panel, reading
from raytune_planes.report.drawing import save
from raytune_planes.report.figure import Missing
from raytune_planes.report.intervals import of_difference, of_pairs, of_pictures
from raytune_planes.tracking import JsonlTracker, StudyFiles, files, read_study
from raytune_planes.tracking.data_curve import chosen, curve_runs, read_curve
from tests.tracking.curves import keep
from tests.tracking.studies import GOAL, START, ended, epoch, play, three_trials, trial


@pytest.fixture
def study(tmp_path: Path) -> StudyFiles:
    """Its best trial that keeps the floor is number 3."""
    play(JsonlTracker(tmp_path))
    return read_study(tmp_path / "quick-1")


def panel(*values: float, n: int = 400) -> Panel:
    intervals = tuple(of_pictures(value, n) for value in values)
    return Panel("fgvc", "top_accuracy", (100, 200, 400), (6, 6, 6), values, intervals)


def test_the_gain_from_half_to_all_stands_beside_newcombes_interval() -> None:
    one = panel(0.3, 0.4, 0.6)
    # R: prop.test without correction gives 0.3532 to 0.4487 of 160/400, and 0.5513 to 0.6468 of 240/400.
    low, high = 0.2 - math.hypot(0.6 - 0.5513, 0.4487 - 0.4), 0.2 + math.hypot(0.6468 - 0.6, 0.4 - 0.3532)
    assert one.gain() == pytest.approx(0.2)
    assert one.gain_interval() == pytest.approx((low, high), abs=1e-4)
    assert one.gain(0) == pytest.approx(0.3)


def test_the_interval_of_an_accuracy_is_narrower_where_the_same_pictures_are_known_to_be_right() -> None:
    """Newcombe 1998, on paired data: 20 right twice, 12 by the first alone, 2 by the second alone, 16 by none."""
    correlation = of_pairs(20, 12, 2, 16)
    assert correlation == pytest.approx((20 * 16 - 12 * 2 - 25) / math.sqrt(32 * 18 * 22 * 28))
    ends = of_pictures(0.64, 50), of_pictures(0.44, 50)
    assert ends[0] is not None
    assert ends[1] is not None
    assert of_difference(0.64, ends[0], 0.44, ends[1], correlation) == pytest.approx((0.0562, 0.3292), abs=1e-4)
    alone = of_difference(0.64, ends[0], 0.44, ends[1])
    assert alone[0] < 0.0562 < 0.3292 < alone[1]
    assert of_pairs(50, 0, 0, 0) == 0.0, "nothing varies"


def test_each_outcome_of_the_second_half_has_its_sentence() -> None:
    assert reading(panel(0.3, 0.4, 0.6)).startswith(
        "fgvc: from 200 to 400 training pictures top accuracy changes by +0.2000 [+0.1"
    )
    assert reading(panel(0.3, 0.4, 0.6)).endswith(
        "the second half helped, and more pictures would probably help further."
    )
    assert reading(panel(0.3, 0.6, 0.4)).endswith("the second half did not help at this number of steps.")
    unclear = reading(panel(0.3, 0.5, 0.51))
    assert "the interval includes 0, so that the second half shows no gain; one above 0.0" in unclear
    assert "Until then more pictures helped: from 100 on it rose by +0.2100 [+0.1" in unclear
    assert "Until then" not in reading(panel(0.5, 0.5, 0.51))
    assert reading(panel(0.3, math.nan, 0.5)).endswith("have no result, so there is no gain to read.")
    assert reading(panel(0.3, 0.4, 0.5, n=0)).endswith(
        "+0.1000; on how many pictures is not known, so nothing follows."
    )


def test_a_study_without_a_data_curve_has_no_part_on_it(study: StudyFiles) -> None:
    assert read_curve(study) is None
    assert data_curve.sections(study) == []
    assert data_curve.as_lines(study) == []
    assert list(curve_runs(study)) == []


def test_a_report_shows_the_kept_curve_as_words_table_figure_and_data(study: StudyFiles, tmp_path: Path) -> None:
    keep(study, {0.25: 0.2, 0.5: 0.3, 1.0: 0.5})
    report = study_report(study, Missing(""), Missing(""))
    part = next(s for s in report.sections if s.heading == "Would more data help?")
    assert part.text[0].startswith("fgvc: from 20 to 1,040 training pictures accuracy changes by +0.2000 [")
    assert "Trial 3, trained anew on ¼, ½ and all of the training pictures, 384 samples each." in part.text
    assert "fgvc: ¼ of its pictures show 5 of its 6 classes." in part.text
    row = part.tables[0].rows[0]
    assert row[:3] == ("fgvc", "accuracy", "0.2000 [0.1637, 0.2420]")
    assert row[-1].startswith("+0.2000 [+0.1")
    (figure,) = part.figures
    assert isinstance(figure.numbers, Curve)
    drawn = report.data["data-curve"]
    assert (drawn["kind"], drawn["shares"], drawn["names"]) == ("shares", (0.25, 0.5, 1.0), ("¼", "½", "all"))
    assert (drawn["panels"][0]["values"], drawn["panels"][0]["pictures"]) == ([0.2, 0.3, 0.5], (10, 20, 1040))
    assert [path.name for path in save(figure, tmp_path, synthetic=True)] == ["data-curve.png", "data-curve.svg"]
    lines = data_curve.as_lines(study)
    assert lines[0] == "trial 3 by the share of the training pictures, on the validation split"
    assert any(line.split()[:3] == ["fgvc", "accuracy", "0.2000"] for line in lines)


def test_what_is_missing_of_a_curve_is_named_with_the_command_that_goes_on(study: StudyFiles) -> None:
    keep(study, {0.25: 0.2, 0.5: None})
    (part,) = data_curve.sections(study)
    what = next(text for text in part.text if text.startswith("Trial 3"))
    assert "On ½ it failed: no number." in what
    assert "Without a result: ½, all; " in what
    assert what.endswith("--data-curve goes on.")
    curve = read_curve(study)
    assert curve is not None
    assert not curve.has_ended


def test_a_curve_without_any_result_is_a_missing_figure(study: StudyFiles) -> None:
    keep(study, {0.25: None})
    (part,) = data_curve.sections(study)
    assert [f.numbers for f in part.figures] == [Missing("no share has a result yet")]


def test_a_curve_of_an_earlier_choice_says_so(study: StudyFiles) -> None:
    keep(study, {0.25: 0.2, 0.5: 0.3, 1.0: 0.5})
    better = ended(trial(4), End.COMPLETED, "2 epochs", epoch(1, 0.9, iou=0.9))
    (part,) = data_curve.sections(replace(study, trials=(*study.trials, better)))
    (what,) = [text for text in part.text if text.startswith("Trial 3")]
    assert "The study's choice is trial 4 by now; " in what
    assert what.endswith("--data-curve trains that one.")


def test_what_else_differs_between_shares_is_told(study: StudyFiles) -> None:
    more = {"mixing.rule": "gain", "start": "old/best.pt", "losses.distillation.weight": 0.5, "split.kind": "kfold"}
    keep(study, {0.25: 0.2, 0.5: 0.3, 1.0: 0.5}, **more)
    text = "\n".join(data_curve.sections(study)[0].text)
    for told in ("mixing.rule = gain", "weights of old/best.pt", "losses.distillation", "one fold (split.fold = 0)"):
        assert told in text


def test_where_every_trial_misses_a_floor_the_nearest_is_trained(study: StudyFiles) -> None:
    strict = replace(GOAL, floors={"val/planesnet/accuracy": 0.99})
    choice = chosen(replace(study, start=replace(START, goal=strict)))
    assert choice is not None
    assert choice.trial == three_trials()[0]
    assert chosen(replace(study, trials=study.trials[1:2])) is None, "a failed trial is no choice"


def test_a_damaged_file_counts_as_no_curve(study: StudyFiles) -> None:
    keep(study, {0.25: 0.2})
    (study.folder / files.CURVE / "data-curve.json").write_text("{")
    assert read_curve(study) is None
