"""The final training: which of the two holds at the long budget, in which words, and what is then handed over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.floors import Relative
from raytune_planes.records import End, Goal, TrialRecord
from raytune_planes.report import summary
from raytune_planes.report.build import study_report
from raytune_planes.report.figure import Missing
from raytune_planes.report.summary_json import as_json
from raytune_planes.tracking import JsonlTracker, StudyFiles, files, read_study
from raytune_planes.tracking.final import MARK, Final, begin, final_folder, handed_over, long_runs, read_final
from raytune_planes.tracking.mlflow_fields import result_points, trial_name, trial_tags
from raytune_planes.tracking.mlflow_notes import study_note
from raytune_planes.tracking.reading import epoch_to_line, trial_end_to_json
from tests.tracking.studies import GOAL, START, ended, epoch, play, three_trials, trial

PLANES = "val/planesnet/accuracy"
FOLLOWS = Goal(GOAL.objectives, {PLANES: 0.94}, {PLANES: Relative("defaults", -0.01)})
"""Trial 0 reaches 0.95 there."""


def long(number: int, fgvc: float, iou: float = 0.5, planesnet: float = 0.95, end: End = End.COMPLETED) -> TrialRecord:
    record = replace(trial(number), trial_id=f"ab{number:02d}-final24", tags={MARK: "24"})
    reached = epoch(24, fgvc, iou, planesnet) if end is not End.FAILED else epoch(1, 0.1)
    return ended(record, end, "val/fgvc/loss is no number" if end is End.FAILED else "24 epochs", reached)


def judged(defaults: TrialRecord | None, choice: TrialRecord | None, goal: Goal = GOAL) -> Final:
    return Final(24, 3, defaults, choice, goal)


def test_the_choice_holds_where_it_keeps_every_floor_and_beats_the_defaults() -> None:
    defaults, choice = long(0, 0.5), long(3, 0.6)
    found = judged(defaults, choice)
    assert found.held is choice
    assert (
        found.verdict
        == "at 24 epochs trial 3 holds: it keeps every floor and beats the defaults, 0.5500 against 0.5000"
    )


@pytest.mark.parametrize("fgvc", [0.5, 0.4])
def test_a_choice_that_no_longer_beats_the_defaults_leaves_them_to_be_handed_over(fgvc: float) -> None:
    found = judged(long(0, 0.5), long(3, fgvc))
    assert found.held is found.defaults, "also where it is level"
    assert found.verdict == (
        f"at 24 epochs trial 3 no longer beats the defaults, {(fgvc + 0.5) / 2:.4f} against 0.5000; "
        "the defaults are handed over"
    )


def test_a_choice_below_a_floor_is_named_with_the_floor() -> None:
    found = judged(long(0, 0.5), long(3, 0.9, planesnet=0.88))
    assert found.held is found.defaults
    assert found.verdict == (
        f"at 24 epochs trial 3 does not hold: {PLANES} is 0.8800, 0.0200 below its floor of 0.9; "
        "the defaults are handed over"
    )


def test_where_neither_keeps_the_floors_no_model_is_handed_over() -> None:
    found = judged(long(0, 0.5, planesnet=0.89), long(3, 0.9, planesnet=0.88))
    assert found.held is None
    assert found.verdict.endswith(
        f"nor do the defaults: {PLANES} is 0.8900, 0.0100 below its floor of 0.9; no model is handed over"
    )


def test_a_choice_holds_where_the_defaults_miss_a_floor_or_have_failed_and_the_reverse() -> None:
    choice = long(3, 0.4)
    assert judged(long(0, 0.9, planesnet=0.8), choice).held is choice
    failed = judged(long(0, 0.9, end=End.FAILED), choice)
    assert failed.held is choice
    assert failed.verdict.endswith("; the defaults have no result (val/fgvc/loss is no number)")
    failed = judged(long(0, 0.3), long(3, 0.9, end=End.FAILED))
    assert failed.held is failed.defaults
    assert "trial 3 does not hold: no result (val/fgvc/loss is no number)" in failed.verdict


def test_before_both_have_ended_nothing_holds() -> None:
    running = replace(long(3, 0.9), end=End.RUNNING)
    for found in (judged(None, None), judged(long(0, 0.5), None), judged(long(0, 0.5), running)):
        assert found.held is None
        assert found.verdict.startswith("the final training of 24 epochs has not ended (")


@pytest.fixture
def study(tmp_path: Path) -> StudyFiles:
    """The study whose best is trial 3; a floor follows the defaults."""
    play(JsonlTracker(tmp_path), start=replace(START, goal=FOLLOWS))
    return read_study(tmp_path / "quick-1")


def keep(study: StudyFiles, *records: TrialRecord, number: int = 3) -> None:
    """Write a final training."""
    begin(study.folder, 24, number, f"ab{number:02d}")
    for record in records:
        folder = final_folder(study.folder, next(t for t in study.trials if t.number == record.number), 24)
        folder.mkdir(parents=True)
        named = {"trial_id": record.trial_id, "number": record.number, "started_ms": record.started_ms}
        values = {"drawn": dict(record.drawn), "config": dict(record.config), "tags": dict(record.tags)}
        files.save_json(folder / files.TRIAL, {**named, **values})
        (folder / files.EPOCHS).write_text("".join(map(epoch_to_line, record.epochs)))
        files.save_json(folder / files.END, trial_end_to_json(record))


def test_a_floor_that_follows_the_defaults_follows_them_at_the_long_budget(study: StudyFiles) -> None:
    """0.97 - 0.01: the choice keeps the 0.94 of the short budget and not the 0.96 of the long one."""
    keep(study, long(0, 0.3, planesnet=0.97), long(3, 0.9, planesnet=0.955))
    final = read_final(study)
    assert final is not None
    assert final.goal.floors == {PLANES: pytest.approx(0.96)}
    assert final.verdict == (
        f"at 24 epochs trial 3 does not hold: {PLANES} is 0.9550, 0.0050 below its floor of 0.9600 (defaults - 0.01); "
        "the defaults are handed over"
    )
    handed = handed_over(study)
    assert handed is not None
    assert (handed.trial.number, handed.epochs) == (0, 24)
    assert handed.weights == study.folder / "final" / "0000-ab00-24" / "best.pt"
    lead = study_report(study, Missing("not asked"), Missing("not asked")).lead
    assert lead.endswith(f" Final training: {final.verdict}."), "who reads one line alone is told what is handed over"


def test_tables_show_both_budgets(study: StudyFiles) -> None:
    alone = replace(study, alone={"fgvc": {"val/fgvc/accuracy": 0.42}})
    keep(study, long(0, 0.55, planesnet=0.95), long(3, 0.6, iou=0.7))
    text = summary.as_text(alone).splitlines()
    at = next(i for i, line in enumerate(text) if line.startswith("final training: at 24 epochs trial 3 holds"))
    assert text[at + 2].split("  ")[1] == "metric"
    line = next(line.split() for line in text[at:] if line.split()[:1] == ["val/fgvc/accuracy"])
    assert line == ["val/fgvc/accuracy", "0.3000", "0.5000", "0.4200", "0.5500", "0.6000", "+0.0500"]
    assert "final/0003-ab03-24" in "\n".join(text), "the commands name what held"
    note = study_note(alone)
    assert "| val/fgvc/accuracy | 0.3000 | 0.5000 | 0.4200 | 0.5500 | 0.6000 | 0.0500 |" in note
    assert "**Final training**: at 24 epochs trial 3 holds" in note
    found = as_json(alone)["final"]
    assert (found["epochs"], found["trial"], found["handed_over"], found["ended"]) == (24, 3, 3, True)
    assert found["metrics"]["val/fgvc/accuracy"] == {
        **{"defaults": 0.3, "best": 0.5, "alone": 0.42, "long_defaults": 0.55, "long_choice": 0.6}
    }


def test_without_a_final_training_the_best_trial_is_handed_over(study: StudyFiles) -> None:
    assert read_final(study) is None
    assert "final training" not in summary.as_text(study)
    assert as_json(study)["final"] is None
    strict = replace(study, start=replace(START, goal=Goal(GOAL.objectives, {PLANES: 0.99})))
    assert handed_over(strict) is None, "none keeps the floor"
    easy = replace(study, start=replace(START, goal=Goal(GOAL.objectives, {PLANES: 0.9})))
    handed = handed_over(easy)
    assert handed is not None
    assert (handed.trial, handed.epochs) == (three_trials()[3], 0)
    keep(study, long(0, 0.5))
    handed = handed_over(easy)
    assert handed is not None
    assert handed.epochs == 0, "half a final training changes nothing"


def test_where_nothing_beat_the_defaults_they_alone_are_trained_again(study: StudyFiles) -> None:
    keep(study, long(0, 0.5), number=0)
    final = read_final(study)
    assert final is not None
    assert final.held == final.defaults
    assert final.verdict == "at 24 epochs the defaults, which no trial beat, are trained alone"


def test_in_mlflow_long_trainings_are_runs_of_their_own_kind_without_the_score_of_a_trial(study: StudyFiles) -> None:
    keep(study, long(0, 0.5), long(3, 0.6))
    runs = [each.trial for each in long_runs(study)]
    assert [trial_name(run) for run in runs] == ["final 000, 24 epochs (defaults)", "final 003, 24 epochs"]
    assert {trial_tags(START, run)["kind"] for run in runs} == {"final"}
    points = {key: value for key, value, _, _ in result_points(runs[1], GOAL)}
    assert points["final_score"] == pytest.approx(0.55)
    assert not {"score", "penalised_score"} & points.keys()
