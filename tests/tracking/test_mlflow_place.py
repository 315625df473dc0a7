"""The store and the experiment of every command: as typed, else as MLflow's variables say, else our own."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from raytune_planes.cli import main
from raytune_planes.commands.find_model import find_model
from raytune_planes.errors import UserError
from raytune_planes.records import End
from raytune_planes.serving.predictor import Predictor
from raytune_planes.tracking import JsonlTracker, read_study
from raytune_planes.tracking.files import ARGUMENTS
from raytune_planes.tracking.mlflow import attach, sync
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from raytune_planes.tracking.mlflow_model import fetch
from raytune_planes.tracking.mlflow_place import EXPERIMENT_NAME, URI, MlflowPlace, absolute
from raytune_planes.tracking.mlflow_ui import serve_ui
from tests.tracking.stores import contents, experiment, tracked
from tests.tracking.studies import FINISH, START, play, three_trials
from tests.tracking.test_mlflow_registry import register

pytestmark = [
    pytest.mark.slow,
    # MLflow's own queries use a loader strategy that SQLAlchemy 2.1 calls deprecated.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]

NAMED = {URI: "http://me:secret@host:5000", EXPERIMENT_NAME: "planes"}


@pytest.fixture
def elsewhere(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """Records without a store beside them; and the store, of ``out``, that the environment names."""
    monkeypatch.setenv(URI, default_uri(out))
    monkeypatch.setenv(EXPERIMENT_NAME, "planes")
    play(JsonlTracker(tmp_path / "here"))
    return tmp_path / "here", default_uri(out)


def names(uri: str, named: str) -> list[str]:
    """The runs of an experiment; none where it is not there."""
    found = connect(uri).get_experiment_by_name(named)
    runs = connect(uri).search_runs([found.experiment_id]) if found else []
    return sorted(str(run.info.run_name) for run in runs)


RUNS = ["quick-1", "trial 000 (defaults)", "trial 001, failed", "trial 002, pruned", "★ 003 best"]


@pytest.mark.parametrize(
    ("uri", "typed", "environment", "found"),
    [
        (None, None, {}, ("default", "raytune-planes")),
        (None, None, {URI: "", EXPERIMENT_NAME: ""}, ("default", "raytune-planes")),
        (None, None, NAMED, ("http://me:secret@host:5000", "planes")),
        ("sqlite:///x.db", None, NAMED, ("sqlite:///x.db", "planes")),
        (None, "mine", NAMED, ("http://me:secret@host:5000", "mine")),
        ("sqlite:///x.db", "mine", NAMED, ("sqlite:///x.db", "mine")),
    ],
)
def test_an_argument_counts_before_a_variable_and_that_before_the_default(
    uri: str | None, typed: str | None, environment: dict[str, str], found: tuple[str, str], tmp_path: Path
) -> None:
    place = MlflowPlace.of(tmp_path, uri, typed, environment)
    assert (place.uri.replace(default_uri(tmp_path), "default"), place.experiment) == found


@pytest.mark.parametrize(
    ("uri", "environment", "found"),
    [(None, {}, "sqlite:///kept.db"), (None, NAMED, NAMED[URI]), ("sqlite:///x.db", {}, "sqlite:///x.db")],
)
def test_what_a_study_was_started_with_counts_before_the_default(
    uri: str | None, environment: dict[str, str], found: str, tmp_path: Path
) -> None:
    place = MlflowPlace.of(tmp_path, uri, None, environment, ("sqlite:///kept.db", "own"))
    assert place.uri == found
    assert place.is_kept == (found == "sqlite:///kept.db")
    assert place.experiment == ("planes" if environment else "own")


def test_a_kept_store_is_the_same_one_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("sqlite:///x.db") == f"sqlite:///{tmp_path.resolve()}/x.db"
    assert absolute("runs") == str(tmp_path.resolve() / "runs")
    for uri in ("sqlite:////a/x.db", "sqlite:///:memory:", "http://host:5000", "postgresql://host/db", "databricks"):
        assert absolute(uri) == uri


def test_sync_sends_to_the_store_that_the_study_was_started_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, server = tmp_path / "here", default_uri(tmp_path / "server")
    (tmp_path / "server").mkdir()
    play(JsonlTracker(here))
    (here / "quick-1" / ARGUMENTS).write_text(json.dumps({"tracking_uri": server, "experiment": None}))
    assert main(["sync", "--out", str(here)]) == 0
    assert names(server, "raytune-planes") == RUNS
    assert not (here / "mlflow.db").exists()
    assert "from the study's command line; --tracking-uri and --experiment count before" in capsys.readouterr().out
    (here / "quick-1" / ARGUMENTS).write_text("no command line")
    assert main(["sync", "--out", str(here)]) == 0
    assert names(default_uri(here), "raytune-planes") == RUNS


def test_what_the_environment_decides_is_said_without_its_password(tmp_path: Path) -> None:
    assert MlflowPlace.of(tmp_path, environment=NAMED).in_words() == (
        "MLflow: http://***@host:5000, experiment 'planes' (from MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME; "
        "--tracking-uri and --experiment count before)"
    )
    assert MlflowPlace.of(tmp_path, "sqlite:///x.db", "mine", NAMED).in_words() == ""


def test_a_study_and_its_report_and_model_go_where_the_environment_says(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URI, default_uri(out))
    monkeypatch.setenv(EXPERIMENT_NAME, "planes")
    here = tmp_path / "here"
    play(tracked(here))
    page = tmp_path / "report.html"
    page.write_text("<h1>here</h1>")
    attach(here / "quick-1", [page])
    assert register(here).number == "1"
    assert names(default_uri(out), "planes") == RUNS
    assert names(default_uri(out), "raytune-planes") == []
    assert not (here / "mlflow.db").exists()
    # MLflow itself writes this variable; a later study of this process must not go where the last one went.
    assert os.environ[URI] == default_uri(out)
    monkeypatch.delenv(URI)
    fetch("models:/raytune-planes@champion", default_uri(out), "best.json")
    assert URI not in os.environ


def test_sync_and_ui_go_where_the_environment_says_and_say_so(
    elsewhere: tuple[Path, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, uri = elsewhere
    assert main(["sync", "--out", str(here)]) == 0
    assert f"MLflow: {uri}, experiment 'planes' (from MLFLOW_TRACKING_URI and" in capsys.readouterr().out
    assert names(uri, "planes") == RUNS
    assert main(["sync", "--out", str(here), "--experiment", "mine"]) == 0
    assert names(uri, "mine") == RUNS
    monkeypatch.setenv(URI, "http://me:secret@127.0.0.1:1/")
    capsys.readouterr()
    assert serve_ui(here) == 0
    assert capsys.readouterr().out.splitlines()[1] == "MLflow runs elsewhere; open http://***@127.0.0.1:1"


def test_a_model_is_found_where_the_environment_says(
    weights: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(JsonlTracker(out))
    register(out, weights)
    monkeypatch.setenv(URI, default_uri(out))
    found = find_model("models:/raytune-planes@champion", tmp_path / "no studies")
    assert sorted(found.infos) == sorted(Predictor.load(weights).infos)


@pytest.mark.parametrize(
    "uri", ["nonsense://me:secret@x", "/dev/null", "sqlite:////dev/null/x.db", "http://[::x", "http://127.0.0.1:9"]
)
def test_a_store_that_is_none_is_named_where_a_model_is_looked_for(uri: str) -> None:
    with pytest.raises(UserError, match=r"no runs:/a in .*; --tracking-uri names another store") as told:
        fetch("runs:/a", uri, "best.pt")
    assert "secret" not in str(told.value)


def test_control_characters_of_an_experiment_name_are_not_printed(tmp_path: Path) -> None:
    place = MlflowPlace.of(tmp_path, environment={EXPERIMENT_NAME: "a\x1b[31m\n"})
    assert place.in_words().isprintable()


def test_a_deleted_experiment_is_told_with_the_ways_on_and_both_lead_on(out: Path) -> None:
    play(JsonlTracker(out))
    sync(out / "quick-1")
    client = connect(default_uri(out))
    number = experiment(client).experiment_id
    client.delete_experiment(number)
    with pytest.raises(UserError) as told:
        sync(out / "quick-1")
    assert str(told.value) == (
        f"the experiment 'raytune-planes' of MLflow at {default_uri(out)} was deleted and takes no runs; restore it "
        f"with 'MLFLOW_TRACKING_URI={default_uri(out)} mlflow experiments restore --experiment-id "
        f"{number}', or name another one with --experiment NAME"
    )
    assert len(sync(out / "quick-1", experiment="other")) == len(RUNS)
    client.restore_experiment(number)  # what the command does
    assert sync(out / "quick-1") == ()
    assert set(contents(default_uri(out))) == set(RUNS)


def test_an_experiment_that_is_deleted_while_a_study_runs_costs_it_nothing_and_is_named_once(
    out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    play(JsonlTracker(out))
    sync(out / "quick-1")
    client = connect(default_uri(out))
    client.delete_experiment(experiment(client).experiment_id)
    (out / "quick-1").rename(out / "aside")
    with caplog.at_level(logging.WARNING):
        play(tracked(out, retry_s=0.1))
    told = [r.getMessage() for r in caplog.records if r.name.startswith("raytune_planes")]
    assert len(told) == 2
    assert "was deleted and takes no runs; restore it with" in told[0]
    assert "The study continues, its records are in files" in told[0]
    assert f"'raytune-planes sync quick-1 --out {out}' sends the rest" in told[1]
    study = read_study(out / "quick-1")
    assert (len(study.trials), study.end) == (len(three_trials()), FINISH)
    assert study.start.name == START.name
    assert study.trials[0].end is End.COMPLETED
