"""What MLflow shows at a glance: which trial is best and why, which are below a floor, and what was pruned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.records import End
from raytune_planes.tracking import JsonlTracker, StudyFiles
from raytune_planes.tracking.mlflow import attach, sync
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from raytune_planes.tracking.mlflow_fields import NOTE, epoch_points, result_points, short_names
from raytune_planes.tracking.mlflow_look import looks
from raytune_planes.tracking.mlflow_notes import OURS, best_note, study_note
from raytune_planes.tracking.notes import add_notes
from tests.tracking.stores import contents, experiment, runs
from tests.tracking.studies import FINISH, GOAL, START, ended, epoch, play, three_trials, trial

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
BELOW = ended(trial(4), End.COMPLETED, "done", epoch(1, 0.99, iou=0.99, planesnet=0.88))
BETTER = ended(trial(5, {"optim.lr": 0.0123456}), End.COMPLETED, "done", epoch(1, 0.8, iou=0.8, planesnet=0.96))


def tags(out: Path) -> Mapping[str, Mapping[str, str]]:
    return {name: run["tags"] for name, run in contents(default_uri(out)).items()}


@pytest.mark.slow
def test_the_star_moves_when_another_trial_becomes_best_and_the_ranks_put_it_first(out: Path) -> None:
    play(JsonlTracker(out))
    sync(out / "quick-1")
    assert tags(out)["★ 003 best"]["rank"] == "0 best"
    more = JsonlTracker(out)
    more.start_study(START)
    for record in (BELOW, BETTER):
        more.start_trial(replace(record, end=End.RUNNING, epochs=()))
        more.end_trial(record)
    more.end_study(FINISH)
    assert sync(out / "quick-1") == ("quick-1", "trial 003", "trial 004", "trial 005")
    found = tags(out)
    assert [name for name in found if "★" in name] == ["★ 005 best"]
    assert found["trial 003"]["mlflow.note.content"].startswith("**converged**: all datasets rest")
    assert {name: run["rank"] for name, run in found.items() if "rank" in run} == {
        "★ 005 best": "0 best",
        "trial 000 (defaults)": "1 complete",
        "trial 001, failed": "4 failed",
        "trial 002, pruned": "3 pruned",
        "trial 003": "1 complete",
        "trial 004, below a floor": "2 below a floor",
    }
    assert (
        found["trial 004, below a floor"]["floors"] == "val/planesnet/accuracy is 0.8800, 0.0200 below its floor of 0.9"
    )
    assert found["★ 005 best"]["floors"] == "kept"
    colors = {name.split(",")[0]: run["mlflow.runColor"] for name, run in found.items() if "rank" in run}
    assert colors == {
        "★ 005 best": "#d55e00",
        "trial 000 (defaults)": "#000000",
        "trial 001": "#b0b7bf",
        "trial 002": "#b0b7bf",
        "trial 003": "",  # no longer the best's
        "trial 004": "",
    }
    assert contents(default_uri(out))["★ 005 best"]["params"] == {"optim.lr": "0.01235"}
    first = runs(connect(default_uri(out)), "tags.rank ASC")
    assert next(run.info.run_name for run in first if "rank" in run.data.tags) == "★ 005 best"
    assert sync(out / "quick-1") == ()


@pytest.mark.slow
def test_the_description_of_the_best_links_to_the_report_once_it_is_there(out: Path, tmp_path: Path) -> None:
    play(JsonlTracker(out))
    sync(out / "quick-1")
    page = tmp_path / "report.html"
    page.write_text("<p>report</p>")
    attach(out / "quick-1", [page])
    found = {run.info.run_name: run for run in runs(connect(default_uri(out)))}
    where = f"#/experiments/1/runs/{found['quick-1'].info.run_id}/artifacts/report/report.html"
    assert f"[Report of the study]({where})" in found["★ 003 best"].data.tags["mlflow.note.content"]
    assert sync(out / "quick-1") == ()


@pytest.mark.slow
def test_the_experiment_is_described_unless_people_have_described_it(out: Path) -> None:
    play(JsonlTracker(out))
    sync(out / "quick-1")
    client = connect(default_uri(out))
    assert experiment(client).tags["mlflow.note.content"].startswith("Studies that tune one model on several datasets")
    client.set_experiment_tag(experiment(client).experiment_id, "mlflow.note.content", "Ours.")
    sync(out / "quick-1")
    assert experiment(client).tags["mlflow.note.content"] == "Ours."


@pytest.mark.slow
def test_a_note_on_a_study_that_has_ended_arrives_with_the_next_sync(out: Path) -> None:
    play(JsonlTracker(out))
    sync(out / "quick-1")
    add_notes(out / "quick-1", "the floor is too high", ["paper"])
    assert sync(out / "quick-1") == ("quick-1",)
    note = tags(out)["quick-1"]["mlflow.note.content"]
    assert "- tags: paper\n- note of " in note
    assert ": the floor is too high\n" in note
    assert sync(out / "quick-1") == ()


@pytest.mark.slow
def test_a_description_of_an_earlier_version_is_renewed_by_sync_and_one_that_people_wrote_stays(out: Path) -> None:
    play(JsonlTracker(out))
    sync(out / "quick-1")
    client = connect(default_uri(out))
    (run,) = client.search_runs([experiment(client).experiment_id], "tags.kind = 'study'")
    there, note = experiment(client), run.data.tags[NOTE]
    for tag in (NOTE, OURS):
        client.delete_tag(run.info.run_id, tag)
        client.set_experiment_tag(there.experiment_id, tag, "")
    client.set_tag(run.info.run_id, NOTE, "Best: **trial 003**, as an earlier version said it.")
    assert sync(out / "quick-1") == ("quick-1",)
    assert client.get_run(run.info.run_id).data.tags[NOTE] == note
    assert experiment(client).tags[NOTE] == there.tags[NOTE]
    client.set_tag(run.info.run_id, NOTE, f"{note}\n\nSee also the log book.")
    client.set_experiment_tag(there.experiment_id, NOTE, "Ours.")
    assert sync(out / "quick-1") == ()
    assert client.get_run(run.info.run_id).data.tags[NOTE].endswith("See also the log book.")
    assert experiment(client).tags[NOTE] == "Ours."


def test_the_description_of_the_best_tells_its_gain_beside_alone_and_the_settings_it_changed() -> None:
    alone = {"fgvc": {"val/fgvc/accuracy": 0.45}}
    study = StudyFiles(Path("results/quick-1"), START, three_trials(), FINISH, alone=alone)
    note = best_note(study, three_trials()[3], "")
    assert note.startswith("**Best of study quick-1**: score 0.5500 at epoch 2; every floor is kept. ")
    assert "val/fgvc/accuracy 0.5000 (defaults 0.3000, alone 0.4500); val/hrplanes/iou 0.6000 (defaults" in note
    assert "| val/fgvc/accuracy | 0.3000 | 0.5000 | +0.2000 | 0.4500 | - |" in note
    assert "| `fgvc.head.depth` | 1 | 2 |\n| `optim.lr` | 0.002 | 0.004 |" in "\n".join(sorted(note.splitlines()))
    assert "epoch 2: planesnet rests: no gain in 2 epochs" in note
    assert "Report: see the study's own run" in note


def test_a_description_has_no_column_without_figures_and_a_dash_for_what_was_not_measured() -> None:
    first, *_ = three_trials()
    odd = replace(first.epochs[-1], metrics={**first.epochs[-1].metrics, "val/hrplanes/scene_iou": math.nan})
    for trials in ((first, replace(BETTER, epochs=(odd,))), (replace(first, epochs=(odd,)),)):
        note = best_note(StudyFiles(Path("results/quick-1"), START, trials, FINISH), trials[-1], "")
        (row,) = (line for line in note.splitlines() if line.startswith("| val/hrplanes/scene_iou"))
        assert "nan" not in note
        assert " - |" in row
        assert "alone" not in note.partition("| metric |")[2].partition("\n")[0]


def test_metrics_arrive_with_the_objectives_first_and_then_validation() -> None:
    keys = [key for key, *_ in epoch_points(epoch(1, 0.5), ("val/hrplanes/iou",))]
    assert keys[0] == "val/hrplanes/iou"
    goal = ("val/hrplanes/iou", "val/fgvc/accuracy")
    assert [key for key, *_ in epoch_points(epoch(1, 0.5), goal)][:2] == list(goal), "in the goal's order"
    of_val = [key.startswith("val/") for key in keys]
    assert of_val == sorted(of_val, reverse=True)
    assert keys[-1] == "samples"


def test_results_have_four_decimals() -> None:
    record = ended(trial(1), End.COMPLETED, "done", epoch(1, 1 / 3))
    assert {k: v for k, v, *_ in result_points(record, GOAL)}["best/fgvc/accuracy"] == 0.3333


def test_a_study_of_one_training_marks_no_best() -> None:
    record = ended(trial(1), End.COMPLETED, "done", epoch(1, 0.3))
    look = looks(StudyFiles(Path("results/x"), replace(START, trials=1), (record,), FINISH), "")
    assert look["ab01"]["mlflow.runName"] == "trial 001"


def test_names_of_settings_are_short_where_that_is_unambiguous() -> None:
    paths = ("datasets.fgvc.head.depth", "optim.lr", "losses.fgvc.weight", "datasets.fgvc.weight", "freeze")
    assert short_names(paths) == {
        "datasets.fgvc.head.depth": "fgvc.head.depth",
        "optim.lr": "optim.lr",
        "losses.fgvc.weight": "losses.fgvc.weight",
        "datasets.fgvc.weight": "datasets.fgvc.weight",
        "freeze": "freeze",
    }


def test_a_damaged_file_of_notes_takes_no_description_away(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{")
    note = study_note(StudyFiles(tmp_path, START, three_trials(), FINISH))
    assert "**Which weights lift FGVC?**" in note
