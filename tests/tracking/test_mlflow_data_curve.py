"""A study's data curve in MLflow: runs of their own kind below the study's, which a second sync leaves as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.tracking import JsonlTracker, read_study
from raytune_planes.tracking.data_curve import curve_runs
from raytune_planes.tracking.mlflow import sync
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from raytune_planes.tracking.mlflow_fields import result_points, trial_name, trial_tags
from tests.tracking.curves import keep
from tests.tracking.stores import runs as runs_in
from tests.tracking.studies import GOAL, START, play


def test_shares_are_of_a_kind_of_their_own_without_the_score_of_a_trial(tmp_path: Path) -> None:
    play(JsonlTracker(tmp_path))
    study = read_study(tmp_path / "quick-1")
    keep(study, {0.5: 0.3, 1.0: 0.5})
    runs = [each.trial for each in curve_runs(study)]
    assert [trial_name(run) for run in runs] == [
        "data curve 003, ½ of the pictures",
        "data curve 003, all of the pictures",
    ]
    assert {trial_tags(START, run)["kind"] for run in runs} == {"data-curve"}
    points = {key: value for key, value, _, _ in result_points(runs[1], GOAL)}
    assert points["data_curve_value"] == pytest.approx(0.5)
    assert not {"score", "penalised_score", "final_score"} & points.keys()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
def test_a_finished_study_gets_its_data_curve_later_and_once(out: Path) -> None:
    play(JsonlTracker(out))
    folder = out / "quick-1"
    sync(folder)
    keep(read_study(folder), {0.5: 0.3, 1.0: 0.5})
    assert sync(folder) == ("data curve 003, all of the pictures", "data curve 003, ½ of the pictures", "quick-1")
    assert sync(folder) == ()
    client = connect(default_uri(out))
    found = {run.data.tags.get("data_share"): run for run in runs_in(client)}
    study = next(run for run in runs_in(client) if run.data.tags["kind"] == "study")
    assert found["0.5"].data.tags["mlflow.parentRunId"] == study.info.run_id
    assert found["0.5"].data.tags["pictures.fgvc"] == "20 of 6 classes"
    assert found["1"].data.metrics["val/fgvc/accuracy"] == 0.5
