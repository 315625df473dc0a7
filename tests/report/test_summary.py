"""What ``best`` says of a study: the right trial, the right figures, and how to continue."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.floors import Relative
from raytune_planes.records import Action, Decision, End, Goal, Objective, TrialRecord, best_trial
from raytune_planes.report import compare
from raytune_planes.report.build import study_report
from raytune_planes.report.figure import Missing
from raytune_planes.report.gained import transfer
from raytune_planes.report.log import of_trial
from raytune_planes.report.summary import as_text, summarise, table
from raytune_planes.report.summary_json import as_json
from raytune_planes.settings import defaults
from raytune_planes.tracking import JsonlTracker, StudyFiles, published_log, read_study
from raytune_planes.tracking.gains import Gain, Sample, sample_of
from raytune_planes.tracking.mlflow_fields import epoch_points, result_points
from raytune_planes.tracking.mlflow_notes import best_note, study_note
from tests.tracking.studies import FINISH, GOAL, START, ended, epoch, on_folds, play, three_trials, trial


def study(*trials: TrialRecord, running: bool = False) -> StudyFiles:
    return StudyFiles(Path("results/quick-1"), START, trials, None if running else FINISH)


def column(text: str, name: str) -> list[str]:
    """The cells of the line that starts with ``name``."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [name])


def test_the_best_trial_is_that_of_the_records_not_the_pruned_one_that_led() -> None:
    summary = summarise(study(*three_trials()))
    assert summary is not None
    assert summary.best == best_trial(three_trials(), GOAL) == three_trials()[3]
    assert summary.epoch.epoch == 2
    assert summary.feasible


def test_the_table_shows_defaults_best_and_gain_of_every_quality() -> None:
    text = as_text(study(*map(measured, three_trials())))
    assert column(text, "val/fgvc/accuracy") == [
        "val/fgvc/accuracy",
        "0.3000",
        "0.5000",
        "+0.2000",
        "40",
        "pictures",
        "objective",
    ]
    assert column(text, "val/planesnet/accuracy")[1:] == ["0.9500", "0.9300", "-0.0200", "-", "floor", "0.9"]
    assert "val/fgvc/loss" not in text
    assert "best: trial 3, score 0.5500 at epoch 2 of 2 (converged: all datasets rest); every floor is kept" in text


def test_a_floor_whose_reference_has_no_result_is_said_not_to_be_applied() -> None:
    goal = replace(GOAL, relative={"val/hrplanes/iou": Relative("alone", -0.02)})
    text = as_text(replace(study(*three_trials()), start=replace(START, goal=goal)))
    assert "every other floor is kept" in text
    assert "the floor of val/hrplanes/iou, alone - 0.02, is not applied: its reference has no result" in text
    shown = best_note(replace(study(*three_trials()), start=replace(START, goal=goal)), three_trials()[3], "")
    assert "the floor of val/hrplanes/iou, alone - 0.02, is not applied" in shown
    known = replace(goal, floors={**goal.floors, "val/hrplanes/iou": 0.0})
    assert "is not applied" not in as_text(replace(study(*three_trials()), start=replace(START, goal=known)))


@pytest.mark.parametrize(("mode", "kind"), [("max", "negative"), ("min", "positive")])
def test_transfer_of_an_error_is_positive_where_it_falls(mode: str, kind: str) -> None:
    goal = Goal((Objective("val/fgvc/accuracy", mode),))
    before = replace(study(*three_trials()), start=replace(START, goal=goal))
    gain = Gain("val/fgvc/accuracy", before=3.0, after=4.0, alone=3.5)  # what the best adds is the search's
    compared = "the defaults beside the dataset trained alone with the same settings"
    assert transfer(before, [gain]) == [f"val/fgvc/accuracy: {kind} transfer, -0.5000: {compared}"]


def test_transfer_that_the_pictures_cannot_tell_from_luck_says_so() -> None:
    # Wilson: 8 of 10 is 0.490 to 0.943 and 6 of 10 0.313 to 0.832, so the difference begins at 0.2 - 0.387, below 0;
    # 80 of 100 is 0.711 to 0.867 and 60 of 100 0.502 to 0.691, and it begins at 0.2 - 0.127, above 0.
    few, many = (Gain("val/fgvc/accuracy", 0.8, 0.9, Sample(n, "pictures"), alone=0.6) for n in (10, 100))
    told = [line for gain in (few, many) for line in transfer(study(*three_trials()), [gain])]
    assert [line.endswith("with the same settings; may be luck with 10 pictures") for line in told] == [True, False]
    assert [line.split(":")[1] for line in told] == [" positive transfer, +0.2000"] * 2


def measured(record: TrialRecord) -> TrialRecord:
    """With the numbers of pictures and scenes, as the trainer gives them."""
    sizes = {"val/fgvc/images": 40.0, "val/hrplanes/images": 96.0, "val/hrplanes/scenes": 6.0}
    return replace(record, epochs=tuple(replace(e, metrics={**e.metrics, **sizes}) for e in record.epochs))


def test_where_the_defaults_win_no_gain_is_listed_and_no_floor_is_named_that_is_not_there() -> None:
    start = replace(START, goal=Goal(GOAL.objectives))
    found = replace(study(measured(three_trials()[0])), start=start)
    text = as_text(found)
    assert "best: the defaults: no complete trial beat them, score 0.4000 at epoch 2 of 3" in text
    assert "there is no gain to show" in text
    assert column(text, "val/hrplanes/iou") == ["val/hrplanes/iou", "0.5000", "6", "scenes", "objective"]
    assert column(text, "val/hrplanes/accuracy") == ["val/hrplanes/accuracy", "0.9000", "96", "pictures"]
    assert "0.0000" not in text
    assert "floor" not in text


@pytest.mark.parametrize("name", ["scene_iou", "scene_ap50", "scene_map"])
def test_a_metric_of_whole_scenes_is_shown_with_the_number_of_scenes(name: str) -> None:
    metrics = {f"val/hrplanes/{name}": 0.4, "val/hrplanes/images": 96.0, "val/hrplanes/scenes": 6.0}
    assert str(sample_of(f"val/hrplanes/{name}", metrics)) == "6 scenes"


def test_below_a_floor_the_score_is_the_mean_of_the_objectives_without_a_penalty() -> None:
    below = ended(trial(0), End.COMPLETED, "done", epoch(1, 0.2, planesnet=0.8))
    assert GOAL.score(below.epochs[0].metrics) == pytest.approx(0.35 - 1.0)
    assert "score 0.3500" in as_text(study(below))
    assert "-0.6500" not in as_text(study(below))
    assert as_json(study(below))["best"]["score"] == pytest.approx(0.35)


def test_the_metrics_of_a_goal_are_shown_even_when_they_are_losses() -> None:
    start = replace(START, goal=Goal((Objective("val/fgvc/loss", "min"),)))
    text = as_text(replace(study(*three_trials()), start=start))
    assert column(text, "val/fgvc/loss")[1:] == ["2.5000", "-", "objective"]
    assert "goal: lower val/fgvc/loss" in text


def test_drawn_settings_come_first_and_those_set_by_hand_are_marked() -> None:
    own = {**defaults(), "optim.lr": 0.01, "budget.epochs": 3}
    record = ended(replace(trial(1, {"optim.lr": 0.01}), config=own), End.COMPLETED, "done", epoch(1, 0.4))
    summary = summarise(study(record))
    assert summary is not None
    changes = [(c.path, c.before, c.after, c.drawn) for c in summary.changes]
    assert changes == [("optim.lr", 0.002, 0.01, True), ("budget.epochs", 12, 3, False)]
    assert column(as_text(study(record)), "budget.epochs") == ["budget.epochs", "12", "3", "set"]


def test_without_a_feasible_trial_the_nearest_is_shown_with_what_it_misses() -> None:
    near = ended(trial(0), End.COMPLETED, "done", epoch(1, 0.2, planesnet=0.875))
    far = ended(trial(1), End.COMPLETED, "done", epoch(1, 0.9, planesnet=0.5))
    text = as_text(study(near, far))
    assert "no complete trial keeps every floor" in text
    assert "nearest: trial 0" in text
    assert "val/planesnet/accuracy is 0.8750, 0.0250 below its floor of 0.9" in text
    data = as_json(study(near, far))["best"]
    assert (data["trial"], data["feasible"]) == (0, False)
    assert abs(data["shortfalls"]["val/planesnet/accuracy"] - 0.025) < 1e-12


def test_a_trial_that_keeps_the_floors_goes_before_one_that_scores_higher() -> None:
    keeps = ended(trial(0), End.COMPLETED, "done", epoch(1, 0.1, iou=0.1, planesnet=0.9))
    leads = ended(trial(1), End.COMPLETED, "done", epoch(1, 0.99, iou=0.99, planesnet=0.89))
    assert GOAL.score(leads.epochs[0].metrics) > GOAL.score(keeps.epochs[0].metrics)
    assert as_json(study(keeps, leads))["best"]["trial"] == 0
    assert "best: the defaults: no complete trial that keeps every floor beat them" in as_text(study(keeps, leads))


def test_defaults_that_lead_in_one_metric_alone_are_not_said_to_be_unbeaten() -> None:
    first = ended(trial(0), End.COMPLETED, "done", epoch(1, 0.1, iou=0.9, planesnet=0.9))
    leads = ended(trial(1), End.COMPLETED, "done", epoch(1, 0.99, iou=0.8, planesnet=0.9))
    assert "best: trial 1, score" in as_text(study(first, leads))
    preferred = as_text(study(first, leads), prefer="val/hrplanes/iou")
    assert "best: the defaults, score" in preferred
    assert "beat them" not in preferred


def test_with_no_complete_trial_the_failures_are_told() -> None:
    failed = [ended(trial(n), End.FAILED, f"reason {n}") for n in range(7)]
    text = as_text(study(*failed))
    assert "no trial is complete, so there is no best one" in text
    assert "trial 4 failed: reason 4" in text
    assert "and 2 more failed" in text
    assert "train --config" not in text
    assert as_json(study(*failed))["best"] is None


def test_a_study_with_no_trial_and_one_that_runs_say_so() -> None:
    assert "study quick-1: no trials; it has not ended" in as_text(study(running=True))
    assert "1 trial (1 completed); it has not ended" in as_text(study(three_trials()[0], running=True))


def test_defaults_that_failed_leave_nothing_to_compare_with() -> None:
    text = as_text(study(ended(trial(0), End.FAILED, "boom"), three_trials()[3]))
    assert "the defaults' trial has no result, so there is nothing to compare with" in text
    assert column(text, "val/fgvc/accuracy") == ["val/fgvc/accuracy", "-", "0.5000", "-", "-", "objective"]


def test_the_json_is_strict_and_names_the_trial_its_score_and_its_gain() -> None:
    data = json.loads(json.dumps(as_json(study(*map(measured, three_trials()))), allow_nan=False))
    best = data["best"]
    assert (best["trial_id"], best["end"], best["epoch"], best["feasible"]) == ("ab03", "converged", 2, True)
    assert best["score"] == GOAL.score(three_trials()[3].epochs[1].metrics)
    assert best["drawn"] == {"optim.lr": 0.004, "datasets.fgvc.head.depth": 2}
    assert best["gains"]["val/hrplanes/iou"] == {
        "defaults": 0.5,
        "best": 0.6,
        "gain": 0.6 - 0.5,
        "alone": None,
        "n": 6,
        "of": "scenes",
    }
    assert data["trials"] == {"converged": 1, "completed": 1, "pruned": 1, "failed": 1}


def test_a_metric_that_is_no_number_is_null_in_json() -> None:
    record = ended(trial(0), End.COMPLETED, "done", epoch(1, 0.1, **{"val/fgvc/loss": float("inf")}))
    data = json.loads(json.dumps(as_json(study(record)), allow_nan=False))
    assert data["best"]["metrics"]["val/fgvc/loss"] is None


def test_the_lines_to_go_on_name_files_that_are_there(tmp_path: Path) -> None:
    out = tmp_path / "my results"
    play(JsonlTracker(out))
    ended_study = read_study(out / "quick-1")
    text = as_text(ended_study)
    assert f"raytune-planes train --config '{out}/quick-1/best.yaml'" in text
    assert f"raytune-planes ui --out '{out}'" in text
    running = as_text(replace(ended_study, end=None))
    config = out / "quick-1/trials/0003-ab03/config.yaml"
    assert config.is_file()
    assert f"raytune-planes train --config '{config}'" in running


def test_a_tracking_server_is_named_without_its_password() -> None:
    text = as_text(study(*three_trials()), tracking_uri="http://me:secret@host:5000")
    assert "raytune-planes ui --tracking-uri http://***@host:5000" in text


def test_synthetic_data_and_unreadable_records_are_said() -> None:
    text = as_text(replace(study(*three_trials()), warnings=("epochs.jsonl, line 3: was cut short",)))
    assert "data: synthetic (fgvc)" in text
    assert "warning: epochs.jsonl, line 3: was cut short" in text


def test_columns_are_aligned() -> None:
    lines = table(("name", "value"), [("a", "1"), ("long name", "22")], right=(1,))
    assert lines == ["  name       value", "  a              1", "  long name     22"]


@pytest.mark.parametrize("decided", [True, False])
def test_a_stopping_rule_that_put_nothing_to_rest_is_not_shown_as_a_gain(decided: bool) -> None:
    defaults_, best = three_trials()[0], three_trials()[3]
    rests = (Decision("fgvc", Action.REST, 2, "enough"),) if decided else ()
    epochs = tuple(replace(e, decisions=rests if e.epoch == 2 else ()) for e in best.epochs)
    config = {**defaults_.config, "stopping.rule": "stop", "optim.lr": 0.5}
    best = replace(best, config=config, drawn={"stopping.rule": "stop", "optim.lr": 0.5}, epochs=epochs)
    calm = tuple(replace(e, decisions=()) for e in defaults_.epochs)
    first = replace(defaults_, config={**defaults_.config, "stopping.rule": "none", "optim.lr": 0.1}, epochs=calm)
    summary = summarise(study(first, best))
    assert summary is not None
    assert {c.path: c.note for c in summary.changes} == {
        "stopping.rule": "" if decided else "made no decision",
        "optim.lr": "",
    }
    assert (column(as_text(study(first, best)), "stopping.rule")[-1] == "decision") is not decided


def test_a_trial_on_folds_is_shown_by_its_mean_with_error_interval_and_each_fold() -> None:
    first, _, _, last = three_trials()
    found = study(on_folds(first, 0.1, 0.2, 0.3), on_folds(last, 0.4, 0.5, 0.9))
    text = as_text(found)
    assert "best: trial 3, score 0.5500 at the best epochs of 3 folds (converged: all datasets rest)" in text
    assert "at the best epochs of 3 folds of trial 3, and at the best epochs of 3 folds of the defaults" in text
    assert column(text, "val/fgvc/accuracy")[1:6] == ["0.2000", "0.6000", "+0.4000", "60", "pictures"]
    lines = text.splitlines()
    at = lines.index("trial 3 over its 3 folds")
    error = 0.26457513 / 3**0.5
    assert error == pytest.approx(0.15275, abs=1e-5)
    interval = [0.6 - 4.30265 * error, 0.6 + 4.30265 * error]
    assert interval == pytest.approx([-0.0573, 1.2573], abs=1e-4)
    cells = " ".join(lines[at + 2].split())
    assert cells == "val/fgvc/accuracy 0.6000 ± 0.1528 0.0000 to 1.0000 0.4000, 0.5000, 0.9000"
    report = study_report(found, Missing("not computed"), Missing("not computed"))
    answer, search = (next(s for s in report.sections if s.heading == heading) for heading in ("Answer", "Search"))
    (table_of_folds,) = [t for t in answer.tables if t.header[1] == "mean ± standard error"]
    assert table_of_folds.rows[0][1:] == ("0.6000 ± 0.1528", "0.0000 to 1.0000", "0.4000, 0.5000, 0.9000")
    assert search.text[0].startswith("Values and floors of a trial are means over the folds that it has trained;")
    assert as_json(found)["best"]["folds"][2]["val/fgvc/accuracy"] == 0.9
    assert "raytune-planes train --config" in text
    assert "config.yaml --folds 3" in text


def test_the_course_and_the_curves_of_a_trial_on_folds_are_of_its_first() -> None:
    first, _, _, last = three_trials()
    trials = on_folds(first, 0.1, 0.2, 0.3), on_folds(last, 0.4, 0.5, 0.9)
    assert [entry["val"]["fgvc"]["accuracy"] for entry in published_log(trials[1])] == [0.4]
    log = of_trial(trials[1], START)
    assert (log.title, log.epochs) == ("trial 3 on its first fold", (1,))
    found = compare.curves(compare.side(study(*trials), 0), compare.side(study(*trials), 3))
    assert isinstance(found, compare.Comparison)
    assert found.curves["val/fgvc/accuracy"] == (((192, 0.1),), ((192, 0.4),))
    assert found.best == (192, 192)


def test_mlflow_gets_each_fold_under_its_own_name_and_the_mean_under_the_metrics() -> None:
    record = on_folds(three_trials()[3], 0.4, 0.5)
    points = {key: value for key, value, _, step in epoch_points(record.epochs[1]) if step == 2}
    assert points["fold2/val/fgvc/accuracy"] == 0.5
    assert points["val/fgvc/accuracy"] == pytest.approx(0.45)
    assert points["standard_error/val/fgvc/accuracy"] == pytest.approx(0.05)
    result = {key: value for key, value, _, _ in result_points(record, GOAL)}
    assert result["best/fgvc/accuracy"] == pytest.approx(0.45)
    assert "over 2 folds. val/fgvc/accuracy" in study_note(study(on_folds(three_trials()[0], 0.1, 0.1), record))
