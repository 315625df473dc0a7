"""The numbers behind a study's own figures, on studies made by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.records import Action, End, Goal, Objective, TrialRecord
from raytune_planes.report import search, varied
from raytune_planes.report.drawing import results as drawing
from raytune_planes.report.drawing import search as drawing_of_settings
from raytune_planes.report.drawing.style import BEST, INK
from raytune_planes.report.figure import Missing
from raytune_planes.tracking import DataDescription, StudyFiles
from tests.tracking.studies import FINISH, START, ended, epoch, three_trials, trial

DATA = {name: DataDescription("f00d", {"train": 4}) for name in ("fgvc", "hrplanes", "planesnet")}


def study(*trials: TrialRecord, space: str = "", **start: object) -> StudyFiles:
    asked = replace(START, data=DATA, space_text=space, **start)  # type: ignore[arg-type]
    return StudyFiles(Path("results/quick-1"), asked, trials, FINISH)


def test_the_history_follows_the_ends_and_counts_only_complete_trials_above_the_floors() -> None:
    first, failed, pruned, best = three_trials()
    below = ended(trial(4), End.COMPLETED, "done", epoch(1, 0.9, planesnet=0.5))
    found = search.history(study(replace(best, ended_ms=1), first, failed, pruned, below))
    assert isinstance(found, search.History)
    assert [r.number for r in found.results] == [3, 0, 1, 2, 4]
    assert [r.value for r in found.results] == pytest.approx([0.55, 0.4, 0.3, 0.745, 0.7])
    assert found.best == pytest.approx((0.55,) * 5)
    assert found.label == "mean of fgvc/accuracy and hrplanes/iou"


def test_an_objective_to_lower_counts_downwards() -> None:
    goal = Goal((Objective("val/fgvc/loss", "min"),))
    found = search.history(study(*three_trials()[:1], goal=goal))
    assert isinstance(found, search.History)
    assert (found.label, found.best) == ("-fgvc/loss", (-2.5,))


def test_a_history_before_the_first_end_is_missing() -> None:
    assert search.history(study()) == Missing("no trial has started")
    assert search.history(study(trial(0))) == Missing("no trial has ended yet")


def test_the_front_has_a_panel_for_each_other_objective_and_floor() -> None:
    found = search.front(study(*three_trials()))
    assert isinstance(found, search.Front)
    assert [(p.x, p.y, p.floors) for p in found.panels] == [
        ("val/fgvc/accuracy", "val/hrplanes/iou", (None, None)),
        ("val/fgvc/accuracy", "val/planesnet/accuracy", (None, 0.9)),
    ]
    assert [(r.number, x, y) for r, x, y in found.panels[0].points] == [
        (0, 0.3, 0.5),
        (1, 0.1, 0.5),
        (2, 0.99, 0.5),
        (3, 0.5, 0.6),
    ]
    assert (found.front, found.best, found.defaults) == ((3,), 3, 0)


def test_every_floor_in_the_plane_of_a_panel_is_drawn_and_named_and_no_other() -> None:
    goal = Goal(
        (Objective("val/fgvc/accuracy"), Objective("val/hrplanes/iou")),
        {"val/fgvc/accuracy": 0.2, "val/hrplanes/iou": 0.3, "val/planesnet/accuracy": 0.9, "val/own/f1": 0.5},
    )
    found = search.front(study(*three_trials(), goal=goal))
    assert isinstance(found, search.Front)
    drawn = drawing.front(found)
    names = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert [name for name in names if "floor of" in name] == [
        "floor of fgvc accuracy: 20%",
        "floor of hrplanes iou: 30%",
        "floor of planesnet accuracy: 90%",
    ]
    assert len({line.get_linestyle() for line in drawn.legends[0].get_lines()[-3:]}) == 3, "each in a style of its own"
    lines = [
        [
            (line.get_xdata(), line.get_ydata())
            for line in axes.lines
            if line.get_color() == BEST and len(line.get_xdata())
        ]
        for axes in drawn.axes
    ]
    assert lines == [[([0.2, 0.2], [0, 1]), ([0, 1], [0.3, 0.3])], [([0.2, 0.2], [0, 1]), ([0, 1], [0.9, 0.9])]]


def test_the_front_is_a_line_between_objectives_whether_or_not_they_have_floors() -> None:
    goal = Goal(
        (Objective("val/fgvc/accuracy"), Objective("val/hrplanes/iou")),
        {"val/hrplanes/iou": 0.3, "val/planesnet/accuracy": 0.9},
    )
    found = search.front(study(*three_trials(), goal=goal))
    assert isinstance(found, search.Front)
    lines = [
        [
            [*zip(*line.get_data(), strict=True)]
            for line in axes.lines
            if line.get_color() == INK and len(line.get_xdata())
        ]
        for axes in drawing.front(found).axes
    ]
    assert lines == [[[(0.5, 0.6)]], []]


def test_one_objective_without_floors_has_no_front() -> None:
    found = search.front(study(*three_trials(), goal=Goal((Objective("val/fgvc/accuracy"),))))
    assert isinstance(found, Missing)
    assert "nothing to trade" in found.why


def test_the_timeline_has_starts_ends_epochs_and_rests_in_minutes() -> None:
    found = search.timeline(study(*three_trials()))
    assert isinstance(found, search.Timeline)
    span = found.spans[3]
    assert (span.number, span.end) == (3, End.CONVERGED)
    assert (span.start, span.stop) == (0.5, pytest.approx(35 / 60))
    assert span.epochs == pytest.approx((1 / 60, 2 / 60))
    assert span.changes == ((pytest.approx(2 / 60), "planesnet", Action.REST),)


def test_a_running_trial_reaches_to_the_last_that_was_heard_and_old_ones_are_left_out() -> None:
    running = replace(trial(0), epochs=(epoch(1, 0.1), epoch(60, 0.2)))
    found = search.timeline(replace(study(running, trial(1), trial(2)), end=None), most=3)
    assert isinstance(found, search.Timeline)
    assert [s.stop for s in found.spans] == pytest.approx([1.0] * 3)
    few = search.timeline(study(*three_trials()), most=2)
    assert isinstance(few, search.Timeline)
    assert ([s.number for s in few.spans], few.left_out) == ([2, 3], 2)


def test_datasets_are_judged_by_their_own_metric_where_it_was_measured() -> None:
    first = three_trials()[0]
    assert search.primary_metrics(study(first)) == {
        "fgvc": "val/fgvc/accuracy",
        "hrplanes": "val/hrplanes/iou",
        "planesnet": "val/planesnet/accuracy",
    }
    assert search.primary_metrics(study(trial(0))) == {}


SPACE = """
objectives: [{metric: val/fgvc/accuracy}]
search:
  optim.lr: {float: [0.001, 0.1], log: true}
  datasets.fgvc.head.depth: {int: [0, 3]}
  stopping.rule: {choice: [none, stop]}
"""
PATHS = ("optim.lr", "datasets.fgvc.head.depth", "stopping.rule")


def test_axes_span_the_searched_range_and_what_was_tried() -> None:
    tried = ended(
        trial(1, {"optim.lr": 0.5, "datasets.fgvc.head.depth": 2, "stopping.rule": "stop"}), End.PRUNED, "", epoch(1, 0)
    )
    rate, depth, rule = varied.axes(study(tried, space=SPACE, searched=PATHS))
    assert (rate.log, rate.low, rate.high) == (True, 0.001, 0.5)
    assert (depth.low, depth.high, depth.whole) == (0, 3, True)
    assert rule.choices == ("none", "stop")


def test_without_the_space_axes_span_what_was_tried() -> None:
    one = trial(1, {"optim.lr": 0.5, "datasets.fgvc.head.depth": 2, "stopping.rule": "stop"})
    other = trial(2, {"optim.lr": 0.25, "datasets.fgvc.head.depth": 1, "stopping.rule": "none"})
    rate, depth, rule = varied.axes(study(one, other, space="not: [a space", searched=PATHS))
    assert (rate.low, rate.high, rate.log, rate.whole) == (0.25, 0.5, False, False)
    assert depth.whole
    assert rule.choices == ("stop", "none")


def test_parallel_coordinates_leave_a_gap_where_a_setting_was_not_drawn() -> None:
    one = ended(trial(1, {"optim.lr": 0.01, "stopping.rule": "stop"}), End.COMPLETED, "", epoch(1, 0.25))
    other = ended(trial(2, {"optim.lr": 0.1}), End.PRUNED, "", epoch(1, 0.5))
    found = varied.parallel(study(one, other, space=SPACE, searched=PATHS))
    assert isinstance(found, varied.Lines)
    assert [a.path for a in found.axes] == ["optim.lr", "stopping.rule", "datasets.fgvc.head.depth"]
    assert [at for at in found.lines[0][1] if not math.isnan(at)] == [0.01, 1.0]
    assert found.lines[1][1][0] == 0.1
    assert math.isnan(found.lines[1][1][1])
    assert found.best == 1


def test_slices_show_weights_and_shares_first_and_leave_out_what_was_never_drawn() -> None:
    drawn = {"optim.lr": 0.01, "datasets.fgvc.weight": 2.0}
    one = ended(trial(1, drawn), End.COMPLETED, "", epoch(1, 0.25))
    other = ended(trial(2, {"optim.lr": 0.1}), End.COMPLETED, "", epoch(1, 0.5))
    paths = ("optim.lr", "stopping.rule", "datasets.fgvc.weight")
    found = varied.slices(study(one, other, space=SPACE, searched=paths))
    assert isinstance(found, varied.Slices)
    assert [a.path for a in found.axes] == ["datasets.fgvc.weight", "optim.lr"]
    assert [(at, r.number) for at, r in found.points["optim.lr"]] == [(0.01, 1), (0.1, 2)]
    assert found.left_out == 1


def test_one_result_makes_neither_lines_nor_slices() -> None:
    for found in (varied.parallel(study(three_trials()[0])), varied.slices(study(three_trials()[0]))):
        assert found == Missing("fewer than two trials have a result")


def test_an_odd_number_of_panels_leaves_no_empty_place() -> None:
    axes = tuple(varied.Axis(f"a.{i}", False, 0.0, 1.0) for i in range(3))
    metrics = {"fgvc": "val/fgvc/accuracy"}
    result = search.Result(0, End.COMPLETED, {"val/fgvc/accuracy": 0.5}, 0.5, True)
    points = {axis.path: ((0.5, result), (1.0, result)) for axis in axes}
    drawn = drawing_of_settings.slices(varied.Slices(axes, metrics, points, 0))
    assert len(drawn.axes) == 3
    last = drawn.axes[-1].get_subplotspec()
    assert (last.colspan.start, last.colspan.stop) == (0, 2)
