"""Datasets trained alone as runs of MLflow: sent once, apart from the trials, and linked to by each study."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.tracking import JsonlTracker
from raytune_planes.tracking.files import REFERENCES, SHARED, WEIGHTS, save_json
from raytune_planes.tracking.mlflow import sync
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from raytune_planes.tracking.reference_files import references_of, write_reference
from tests.tracking.stores import contents, experiment, runs, tracked
from tests.tracking.studies import CONFIG, FINISH, START, play

pytestmark = [
    pytest.mark.slow,
    # MLflow's own queries use a loader strategy that SQLAlchemy 2.1 calls deprecated.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]
ALONE = {"fgvc": {"val/fgvc/accuracy": 0.5}}


def a_reference(out: Path) -> TrialRecord:
    """FGVC alone, in the folder that the studies in ``out`` share."""
    folder = out / SHARED / "fgvc-0123"
    folder.mkdir(parents=True)
    epochs = tuple(
        EpochRecord(n, 4 * n, 128 * n, {"val/fgvc/accuracy": value, "val/fgvc/loss": 1.0}, time_ms=START.started_ms + n)
        for n, value in ((1, 0.5), (2, 0.4))
    )
    record = TrialRecord("fgvc-0123", 0, {}, CONFIG, epochs, End.COMPLETED, "2 epochs", START.started_ms, 1)
    write_reference(record, "fgvc", folder)
    (folder / WEIGHTS).write_bytes(b"weights")
    (folder / "last.pt").write_bytes(b"only to go on with")
    return record


def a_study(out: Path, name: str, folder: str = "fgvc-0123") -> Path:
    """A finished study that compares with it; returns its folder."""
    play(JsonlTracker(out), start=replace(START, name=name))
    save_json(out / name / REFERENCES, {"alone": ALONE, "kept": {"fgvc": folder}})
    return out / name


def test_a_dataset_trained_alone_is_a_run_with_its_epochs_settings_and_tags_apart_from_the_trials(out: Path) -> None:
    record = a_reference(out)
    changed = sync(a_study(out, "quick-1"))
    assert "fgvc alone" in changed
    run = contents(default_uri(out))["fgvc alone"]
    assert [(step, value) for step, _, value in run["metrics"]["val/fgvc/accuracy"]] == [(1, "0.5"), (2, "0.4")]
    assert [value for _, _, value in run["metrics"]["samples"]] == ["128.0", "256.0"]
    assert [value for _, _, value in run["metrics"]["best/fgvc/accuracy"]] == ["0.5"]
    assert "score" not in run["metrics"], "it is not ranked among the trials"
    assert run["params"] == {"optim.lr": "0.002", "fgvc.head.depth": "1"}
    tags = {"kind": "reference", "reference": "alone", "dataset": "fgvc", "end": "completed", "study": "quick-1"}
    assert tags.items() <= run["tags"].items()
    assert run["tags"]["mlflow.parentRunId"] == "quick-1"
    assert run["files"] == ["best.pt", "end.json", "epochs.jsonl", "trial.json"]
    assert run["times"] == (record.started_ms, record.ended_ms, "FINISHED")
    assert contents(default_uri(out))["quick-1"]["tags"]["reference.fgvc"] == "fgvc alone"

    client = connect(default_uri(out))
    found = client.search_runs([experiment(client).experiment_id], "tags.kind = 'reference'")
    assert [each.info.run_name for each in found] == ["fgvc alone"]
    assert sync(out / "quick-1") == (), "a second time changes nothing"


def test_a_second_study_links_to_the_run_that_the_first_has_sent(out: Path) -> None:
    a_reference(out)
    sync(a_study(out, "quick-1"))
    second = a_study(out, "quick-2")
    assert "fgvc alone" not in sync(second)
    client = connect(default_uri(out))
    alone = [run for run in runs(client) if run.data.tags["kind"] == "reference"]
    links = {r.info.run_name: r.data.tags["reference.fgvc"] for r in runs(client) if r.data.tags["kind"] == "study"}
    assert links == dict.fromkeys(["quick-1", "quick-2"], alone[0].info.run_id)


def test_a_running_study_shows_what_it_has_trained_alone(out: Path) -> None:
    a_reference(out)
    trackers = tracked(out)
    trackers.start_study(START)
    save_json(out / "quick-1" / REFERENCES, {"alone": ALONE, "kept": {"fgvc": "fgvc-0123"}})
    trackers.end_study(FINISH)
    assert "fgvc alone" in contents(default_uri(out))


def test_a_reference_whose_files_are_gone_is_named_and_the_rest_is_sent(
    out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a_reference(out)
    study = a_study(out, "quick-1")
    shutil.rmtree(out / SHARED / "fgvc-0123")
    with caplog.at_level(logging.WARNING):
        assert "quick-1" in sync(study)
    assert "fgvc-0123 cannot be sent to MLflow: FileNotFoundError" in caplog.text
    assert "fgvc alone" not in contents(default_uri(out))


def test_the_folder_of_a_reference_lies_beside_the_studies_wherever_its_name_points(out: Path) -> None:
    a_reference(out)
    study = a_study(out, "quick-1", folder="../../elsewhere/fgvc-0123")
    assert [folder for folder, _ in references_of(study)] == [out / SHARED / "fgvc-0123"]
