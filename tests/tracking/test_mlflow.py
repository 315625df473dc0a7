"""MLflow from the files of a study: what is there, that it is there once, and that its absence costs nothing."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from raytune_planes.floors import Relative
from raytune_planes.records import End, Goal, best_trial
from raytune_planes.tracking import trial_folder
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from raytune_planes.tracking.mlflow_fields import BEST_FIRST
from raytune_planes.tracking.mlflow_view import view_path, view_tag
from tests.tracking.stores import contents, experiment, runs, tracked
from tests.tracking.studies import FINISH, GOAL, START, artifact, ended, epoch, on_folds, play, three_trials, trial

pytestmark = [
    pytest.mark.slow,
    # MLflow's own queries use a loader strategy that SQLAlchemy 2.1 calls deprecated.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]


def test_a_study_is_one_parent_and_a_child_per_trial_that_says_how_it_ended(out: Path) -> None:
    play(tracked(out))
    found = contents(default_uri(out))
    assert list(found) == ["quick-1", "trial 000 (defaults)", "trial 001, failed", "trial 002, pruned", "★ 003 best"]
    parent, children = found["quick-1"], {k: v for k, v in found.items() if k != "quick-1"}
    assert {c["tags"]["mlflow.parentRunId"] for c in children.values()} == {"quick-1"}
    assert [c["tags"]["end"] for c in children.values()] == ["completed", "failed", "pruned", "converged"]
    assert [c["times"][2] for c in children.values()] == ["FINISHED", "FAILED", "FINISHED", "FINISHED"]
    assert children["trial 001, failed"]["tags"]["reason"] == "val/fgvc/loss is no number at epoch 1"
    assert parent["times"] == (START.started_ms, FINISH.ended_ms, "FINISHED")
    assert parent["tags"]["best_trial"] == "trial 003"


def test_the_values_of_a_trial_equal_its_records(out: Path) -> None:
    play(tracked(out))
    record = three_trials()[3]
    run = contents(default_uri(out))["★ 003 best"]
    assert run["params"] == {"optim.lr": "0.004", "fgvc.head.depth": "2"}
    for one in record.epochs:
        for key, value in one.metrics.items():
            assert (one.epoch, one.time_ms, repr(value)) in run["metrics"][key]
    assert all(len(run["metrics"][key]) == len(record.epochs) for key in record.epochs[0].metrics)
    assert run["metrics"]["best/fgvc/accuracy"] == [(0, record.ended_ms, "0.5")]
    assert run["metrics"]["best_epoch"] == [(0, record.ended_ms, "2.0")]
    assert run["metrics"]["resting/planesnet"] == [(2, record.epochs[1].time_ms, "1.0")]
    assert run["times"][:2] == (record.started_ms, record.ended_ms)
    assert run["tags"]["trial_id"] == "ab03"
    assert run["tags"]["synthetic"] == "true"
    assert run["tags"]["pool"] == "cpu"
    assert run["tags"]["space_digest"] == START.space_digest
    assert run["tags"]["mlflow.source.git.commit"] == "abc123"
    assert run["data"] == [("fgvc", "f00d")]
    assert run["files"] == ["config.yaml", "end.json", "epochs.jsonl", "trial.json"]


def test_a_trial_on_folds_has_each_fold_under_its_own_name_and_the_mean_so_far_under_the_metric(out: Path) -> None:
    first, _, _, last = three_trials()
    play(tracked(out), trials=(first, on_folds(last, 0.4, 0.5)))
    metrics = contents(default_uri(out))["★ 003 best"]["metrics"]
    assert [(step, value) for step, _, value in metrics["val/fgvc/accuracy"]] == [(1, "0.4"), (2, "0.45")]
    assert [(step, value) for step, _, value in metrics["fold1/val/fgvc/accuracy"]] == [(1, "0.4")]
    assert [(step, value) for step, _, value in metrics["fold2/val/fgvc/accuracy"]] == [(2, "0.5")]
    ((step, _, error),) = metrics["standard_error/val/fgvc/accuracy"]
    assert (step, float(error)) == (2, pytest.approx(0.05))
    assert metrics["best/fgvc/accuracy"][0][2] == "0.45"


def test_the_defaults_show_the_values_that_the_others_draw(out: Path) -> None:
    play(tracked(out))
    assert contents(default_uri(out))["trial 000 (defaults)"]["params"] == {
        "optim.lr": "0.002",
        "fgvc.head.depth": "1",
    }


def test_a_metric_that_is_no_number_arrives_as_one(out: Path) -> None:
    play(tracked(out))
    ((step, _, value),) = contents(default_uri(out))["trial 001, failed"]["metrics"]["val/fgvc/loss"]
    assert (step, value) == (1, "nan")


def test_sorting_by_score_finds_the_best_trial_of_the_records(out: Path) -> None:
    """A pruned trial that led and a complete one below a floor score higher, and are not the best."""
    below_floor = ended(trial(4), End.COMPLETED, "done", epoch(1, 0.99, iou=0.99, planesnet=0.89))
    tied = ended(trial(5), End.COMPLETED, "done", epoch(1, 0.5, iou=0.6, planesnet=0.93))
    trials = (*three_trials(), below_floor, tied)
    assert GOAL.score(below_floor.epochs[0].metrics) > GOAL.score(tied.epochs[0].metrics)
    play(tracked(out), trials=trials)
    first = runs(connect(default_uri(out)), *BEST_FIRST)[0]
    best = best_trial(trials, GOAL)
    assert best is not None
    assert first.data.tags["trial_id"] == best.trial_id == "ab03"
    result = best.best(GOAL)
    assert result is not None
    assert first.data.metrics["score"] == GOAL.score(result.metrics)


def test_floors_that_become_known_while_a_study_runs_count_for_the_scores_in_the_store(out: Path) -> None:
    floor = {"val/planesnet/accuracy": Relative("defaults", -0.01)}
    start = replace(START, goal=Goal(GOAL.objectives, {}, floor))
    tracker = tracked(out)
    tracker.start_study(start)
    first = ended(trial(0), End.COMPLETED, "done", epoch(1, 0.3, planesnet=0.95))
    below = ended(trial(1, {"optim.lr": 0.004}), End.COMPLETED, "done", epoch(1, 0.5, planesnet=0.9))
    for record in (first, below):
        tracker.start_trial(replace(record, epochs=(), end=End.RUNNING))
        tracker.log_epoch(record.trial_id, record.epochs[0])
        tracker.end_trial(record)
        if record is first:
            tracker.start_study(replace(start, goal=start.goal.with_references(first.epochs[0].metrics)))
    tracker.end_study(FINISH)
    found = contents(default_uri(out))
    assert "score" in found["★ 000 best (defaults)"]["metrics"]
    assert "score" not in found["trial 001, below a floor"]["metrics"], "it is 0.04 below the floor of 0.94"
    assert found["quick-1"]["tags"]["best_trial"] == "trial 000 (defaults)"


def test_the_parents_note_says_what_was_asked_and_what_it_bought(out: Path) -> None:
    play(tracked(out))
    note = contents(default_uri(out))["quick-1"]["tags"]["mlflow.note.content"]
    assert note.startswith("Best: **trial 003**, score 0.5500 at epoch 2. val/fgvc/accuracy 0.3000 → 0.5000")
    assert "**Which weights lift FGVC?**" in note
    assert "| val/fgvc/accuracy | 0.3000 | 0.5000 | +0.2000 |" in note
    assert "| `optim.lr` | 0.004 |" in note
    assert "The data is synthetic" in note


def test_a_study_has_a_view_that_shows_its_trials_best_first(out: Path) -> None:
    play(tracked(out))
    found = experiment(connect(default_uri(out)))
    view = json.loads(found.tags[f"mlflow.sharedViewState.{START.study_id}"])
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`score`", False)
    results = ["metrics.`score`", "metrics.`best/fgvc/accuracy`", "metrics.`best/hrplanes/iou`"]
    assert view["selectedColumns"][:6] == ["tags.`end`", "tags.`reason`", "tags.`floors`", *results]
    assert view["selectedColumns"][-2:] == ["params.`optim.lr`", "params.`fgvc.head.depth`"]
    client = connect(default_uri(out))
    chosen = client.search_runs([found.experiment_id], view["searchFilter"], order_by=["metrics.score DESC"])
    assert [r.info.run_name for r in chosen][:1] == ["★ 003 best"]
    assert len(chosen) == 4
    assert view["runsPinned"] == [chosen[0].info.run_id]
    path = view_path(found.experiment_id, START)
    assert path == f"#/experiments/1/runs?viewStateShareKey={START.study_id}&workflowType=machine_learning"


def test_a_study_s_view_has_charts_of_its_objectives_their_front_and_its_settings(out: Path) -> None:
    play(tracked(out))
    found = experiment(connect(default_uri(out)))
    view = json.loads(found.tags[f"mlflow.sharedViewState.{START.study_id}"])
    *scatters, parallel = view["compareRunCharts"]
    assert [(c["displayName"], c["xaxis"]["key"], c["yaxis"]["key"]) for c in scatters] == [
        ("History: fgvc accuracy", "trial", "best/fgvc/accuracy"),
        ("History: hrplanes iou", "trial", "best/hrplanes/iou"),
        ("Front: fgvc accuracy and hrplanes iou", "best/fgvc/accuracy", "best/hrplanes/iou"),
    ]
    assert {c["type"] for c in scatters} == {"SCATTER"}
    assert {axis["type"] for c in scatters for axis in (c["xaxis"], c["yaxis"])} == {"METRIC"}
    assert parallel["type"] == "PARALLEL"
    assert parallel["selectedMetrics"] == ["best/fgvc/accuracy", "best/hrplanes/iou"]
    # Every key stands in the runs, or a chart is empty.
    children = connect(default_uri(out)).search_runs([found.experiment_id], view["searchFilter"])
    results = [run.data for run in children if "best/fgvc/accuracy" in run.data.metrics]
    assert len(results) == 4
    for data in results:
        assert data.metrics["trial"] == int(data.tags["trial"])
        assert {*parallel["selectedMetrics"]} <= data.metrics.keys()
        assert {*parallel["selectedParams"]} <= data.params.keys()
    # The UI orders sections by name unless a person did, and puts its own after those that are there.
    assert view["isAccordionReordered"]
    assert [c["metricSectionId"] for c in view["compareRunCharts"]] == [*["study"] * 3, "study-settings"]
    assert [(s["uuid"], s.get("columns")) for s in view["compareRunSections"]] == [
        ("study", None),
        ("study-settings", 1),  # as wide as the page, so that the names of its axes do not overlap
    ]


def test_a_setting_that_some_trials_do_not_draw_is_no_axis_as_it_would_hide_these() -> None:
    drawn = [{"optim.lr": 0.1, "datasets.fgvc.head.depth": 0}, {"optim.lr": 0.2}, {}]
    (_, value) = view_tag(START, "", [trial(i, values) for i, values in enumerate(drawn)])
    assert json.loads(value)["compareRunCharts"][-1]["selectedParams"] == ["optim.lr"]
    many = replace(START, searched=tuple(f"datasets.own.part{i}.depth" for i in range(200)))
    (_, value) = view_tag(many, "", [])
    assert len(value) < 20_000, "more than MLflow takes in an experiment's tag"
    assert len(json.loads(value)["compareRunCharts"][-1]["selectedParams"]) == 8


def test_the_experiment_s_description_links_the_study_that_was_recorded_last(out: Path) -> None:
    play(tracked(out))
    client = connect(default_uri(out))
    path = f"#/experiments/1/runs?viewStateShareKey={START.study_id}&workflowType=machine_learning"
    links = f"study `quick-1`: [trials, best first]({path}), [charts]({path}&compareRunsMode=CHART)."
    assert experiment(client).tags["mlflow.note.content"].endswith(links)
    client.set_experiment_tag("1", "mlflow.note.content", "Ours")
    play(tracked(out))
    assert experiment(client).tags["mlflow.note.content"] == "Ours"


def test_the_experiment_keeps_artifacts_beside_the_database_wherever_the_process_is(out: Path) -> None:
    play(tracked(out))
    assert experiment(connect(default_uri(out))).artifact_location == (out / "mlartifacts").as_uri()
    assert list((out / "mlartifacts").rglob("config.yaml"))


def test_a_trials_checkpoint_is_an_artifact_and_the_one_for_resuming_is_not(out: Path) -> None:
    tracker = tracked(out)
    tracker.start_study(START)
    tracker.start_trial(trial(0))
    folder = trial_folder(out / "quick-1", 0, "ab00")
    for name in ("best.pt", "last.pt", ".half-written"):
        artifact(folder, name)
    tracker.end_trial(ended(trial(0), End.COMPLETED, "done", epoch(1, 0.1)))
    tracker.end_study(FINISH)
    files = contents(default_uri(out))["★ 000 best (defaults)"]["files"]
    assert files == ["best.pt", "config.yaml", "end.json", "epochs.jsonl", "trial.json"]


def test_a_database_is_analyzed_when_the_study_ends(out: Path) -> None:
    import sqlite3

    play(tracked(out))
    with sqlite3.connect(out / "mlflow.db") as database:
        (rows,) = database.execute("select count(*) from sqlite_stat1").fetchone()
    database.close()
    assert rows > 0


def test_no_query_leaves_the_working_folder_changed(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    play(tracked(out))
    assert os.listdir() == []


def test_a_long_setting_is_shortened_marked_and_whole_in_an_artifact(out: Path) -> None:
    texts = ["a plane, " * 900 + ending for ending in ("first", "second")]
    started = [trial(1 + i, {"text.templates": text, "optim.lr": 0.1}) for i, text in enumerate(texts)]
    reason = "it said " + 9000 * "x"
    play(tracked(out), trials=tuple(ended(one, End.COMPLETED, reason, epoch(1, 0.1)) for one in started))
    found = [contents(default_uri(out))[name] for name in ("★ 001 best", "trial 002")]
    shown = [run["params"]["text.templates"] for run in found]
    assert [len(value) for value in shown] == [500, 500]
    assert [value.startswith("a plane, a plane, ") for value in shown] == [True, True]
    assert "... (whole in config.yaml, sha256 " in shown[0]
    assert shown[0] != shown[1]
    assert [(run["params"]["optim.lr"], run["tags"]["shortened"]) for run in found] == [("0.1", "text.templates")] * 2
    client = connect(default_uri(out))
    of_trials = sorted((r for r in runs(client) if "trial" in r.data.tags), key=lambda r: r.data.tags["trial"])
    for run, text in zip(of_trials, texts, strict=True):
        kept = out / "mlartifacts" / run.info.run_id / "artifacts" / "config.yaml"
        assert yaml.safe_load(kept.read_text())["text.templates"] == text
