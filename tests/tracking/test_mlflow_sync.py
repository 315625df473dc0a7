"""A store that is away, comes back, or is filled later: nothing is lost and nothing is there twice."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raytune_planes.addresses import without_secrets
from raytune_planes.errors import UserError
from raytune_planes.records import End
from raytune_planes.tracking import JsonlTracker
from raytune_planes.tracking.mlflow import sync
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from tests.tracking.stores import contents, runs, tracked
from tests.tracking.studies import FINISH, START, ended, epoch, play, three_trials, trial

pytestmark = [
    pytest.mark.slow,
    # MLflow's own queries use a loader strategy that SQLAlchemy 2.1 calls deprecated.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]


def test_syncing_afterwards_gives_the_store_that_a_live_study_gives(out: Path, tmp_path: Path) -> None:
    play(tracked(out))
    later = tmp_path / "later"
    play(JsonlTracker(later))
    changed = sync(later / "quick-1")
    assert changed == ("quick-1", "trial 000 (defaults)", "trial 001", "trial 002", "trial 003")
    assert contents(default_uri(later)) == contents(default_uri(out))


def test_syncing_twice_changes_nothing(out: Path) -> None:
    play(tracked(out))
    before = contents(default_uri(out))
    assert sync(out / "quick-1") == ()
    assert contents(default_uri(out)) == before


def test_a_store_that_never_answers_neither_stops_nor_delays_the_study_and_is_told_of(
    out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    started = time.perf_counter()
    with caplog.at_level(logging.WARNING):
        play(tracked(out, "http://user:secret@127.0.0.1:1", retry_s=0.1))
    assert time.perf_counter() - started < 60
    messages = [r.getMessage() for r in caplog.records if r.name.startswith("raytune_planes")]
    assert len(messages) == 2
    assert "MLflow at http://***@127.0.0.1:1 does not answer; the study continues" in messages[0]
    assert f"'raytune-planes sync quick-1 --out {out}' sends the rest" in messages[1]
    assert "secret" not in caplog.text
    sync(out / "quick-1")
    assert contents(default_uri(out))["quick-1"]["tags"]["best_trial"] == "trial 003"


def test_a_store_that_comes_back_gets_what_it_missed_once(out: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The database is hidden while the study starts: nothing can be opened where a folder stands in its place."""
    database, aside = out / "mlflow.db", out / "aside.db"
    database.rename(aside)
    database.mkdir()
    tracker = tracked(out, retry_s=0.1)
    first, second = three_trials()[0], three_trials()[3]
    with caplog.at_level(logging.INFO, logger="raytune_planes"):
        tracker.start_study(START)
        tracker.start_trial(replace(first, end=End.RUNNING, epochs=()))
        for one in first.epochs:
            tracker.log_epoch(first.trial_id, one)
        _wait_for(lambda: "does not answer" in caplog.text)
        database.rmdir()
        aside.rename(database)
        _wait_for(lambda: "answers again" in caplog.text)
        tracker.end_trial(first)
        tracker.start_trial(replace(second, end=End.RUNNING, epochs=()))
        tracker.end_trial(second)
        tracker.end_study(FINISH)
    found = contents(default_uri(out))
    assert list(found) == ["quick-1", "trial 000 (defaults)", "★ 003 best"]
    assert [step for step, _, _ in found["trial 000 (defaults)"]["metrics"]["samples"]] == [1, 2, 3]


def test_a_resumed_study_goes_on_in_the_same_runs_and_logs_no_epoch_twice(out: Path) -> None:
    first = tracked(out)
    first.start_study(START)
    first.start_trial(trial(0))
    first.log_epoch("ab00", epoch(1, 0.1))
    first.log_epoch("ab00", epoch(2, 0.2))
    first.end_trial(ended(trial(0), End.INTERRUPTED, "stopped by hand", epoch(1, 0.1), epoch(2, 0.2)))
    first.end_study(replace(FINISH, end=End.INTERRUPTED))
    stopped = contents(default_uri(out))
    assert stopped["quick-1"]["times"][2] == stopped["trial 000 (defaults)"]["times"][2] == "KILLED"

    again = tracked(out)
    again.start_study(replace(START, started_ms=START.started_ms + 99))
    again.start_trial(trial(0))
    again.log_epoch("ab00", replace(epoch(2, 0.2), time_ms=5))  # trained again from the last checkpoint
    again.log_epoch("ab00", epoch(3, 0.3))
    again.end_trial(ended(trial(0), End.COMPLETED, "3 epochs"))
    again.end_study(FINISH)
    found = contents(default_uri(out))
    assert list(found) == ["quick-1", "★ 000 best (defaults)"]
    run = found["★ 000 best (defaults)"]
    assert [(s, v) for s, _, v in run["metrics"]["val/fgvc/accuracy"]] == [(1, "0.1"), (2, "0.2"), (3, "0.3")]
    assert (run["tags"]["end"], run["times"][2], run["tags"]["reason"]) == ("completed", "FINISHED", "3 epochs")
    assert found["quick-1"]["times"][2] == "FINISHED"


def test_the_note_on_a_running_study_rests_and_the_last_word_is_always_written(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raytune_planes.tracking.mlflow.NOTE_REST", 1e9)
    tracker = tracked(out)

    def seen() -> dict[str, dict[str, str]]:
        client = connect(default_uri(out))
        there = client.get_experiment_by_name("raytune-planes")
        return {str(run.info.run_name): run.data.tags for run in runs(client)} if there else {}

    tracker.start_study(START)
    _wait_for(lambda: "mlflow.note.content" in seen().get("quick-1", {}))
    for one in three_trials():
        tracker.start_trial(replace(one, end=End.RUNNING, epochs=()))
        tracker.end_trial(one)
    _wait_for(lambda: [tags.get("end") for tags in seen().values()].count("converged") == 1)
    time.sleep(1.2)  # the thread has been through twice more
    assert seen()["quick-1"]["mlflow.note.content"].startswith("No trial is complete yet.")
    tracker.end_study(FINISH)
    assert seen()["quick-1"]["mlflow.note.content"].startswith("Best: **trial 003**")


def test_a_name_used_again_after_its_folder_is_gone_is_another_study(out: Path) -> None:
    play(JsonlTracker(out))
    sync(out / "quick-1")
    (out / "quick-1").rename(out / "aside")
    play(JsonlTracker(out), start=replace(START, started_ms=START.started_ms + 1))
    assert len(sync(out / "quick-1")) == 5
    assert len(runs(connect(default_uri(out)))) == 10


def test_sync_names_a_store_that_does_not_answer(out: Path) -> None:
    play(JsonlTracker(out))
    with pytest.raises(
        UserError, match=r"MLflow at http://\*\*\*@127.0.0.1:1 did not accept the study: .*; the files are"
    ):
        sync(out / "quick-1", "http://user:secret@127.0.0.1:1")


def test_sync_of_no_study_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no study in .*nowhere"):
        sync(tmp_path / "nowhere")


def test_a_password_in_an_address_is_not_shown() -> None:
    assert without_secrets("postgresql://me:pw@host/db") == "postgresql://***@host/db"
    assert without_secrets("sqlite:////tmp/a/mlflow.db") == "sqlite:////tmp/a/mlflow.db"


def _wait_for(happened: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
