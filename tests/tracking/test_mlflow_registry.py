"""The best trial's model in the registry: it loads from its files and answers as it did."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raytune_planes.errors import UserError
from raytune_planes.records import End
from raytune_planes.tracking import JsonlTracker
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from raytune_planes.tracking.mlflow_model import LoggedModel
from raytune_planes.tracking.mlflow_registry import register_champion
from tests.tracking.studies import START, artifact, ended, epoch, play, three_trials, trial

pytestmark = [
    pytest.mark.slow,
    # MLflow's own queries use a loader strategy that SQLAlchemy 2.1 calls deprecated.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]


def load(artifacts: Mapping[str, str]) -> Callable[[np.ndarray], np.ndarray]:
    """The loader of these tests: a model that multiplies by the number in its checkpoint."""
    factor = json.loads(Path(artifacts["checkpoint"]).read_text())["factor"]
    return lambda batch: batch * factor


def register(out: Path, checkpoint: Path | None = None) -> tuple[str, str]:
    model = LoggedModel(
        loader="tests.tracking.test_mlflow_registry:load",
        artifacts={"checkpoint": checkpoint or artifact(out / "scratch", "best.json", b'{"factor": 3.0}')},
        input_example=np.ones((2, 4), dtype=np.float32),
        output_example=np.full((2, 4), 3.0, dtype=np.float32),
        requirements=["numpy"],
    )
    return register_champion(out / "quick-1", model)


def test_the_champion_is_the_best_trials_model_with_a_signature_and_answers(
    out: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    play(JsonlTracker(out))
    before = mlflow.get_tracking_uri()
    assert register(out) == ("1", "1")
    assert mlflow.get_tracking_uri() == before
    client = connect(default_uri(out))
    version = client.get_model_version_by_alias("raytune-planes", "champion")
    run = client.get_run(version.run_id or "")
    best = three_trials()[3]
    marks = {"study": "quick-1", "study_id": START.study_id, "trial_id": best.trial_id}
    assert marks.items() <= version.tags.items()
    assert run.data.tags["trial_id"] == best.trial_id
    assert (run.info.status, run.info.end_time) == ("FINISHED", best.ended_ms)
    assert run.data.params.keys() == best.drawn.keys()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", default_uri(out))
    mlflow.set_tracking_uri(default_uri(out))
    try:
        model = mlflow.pyfunc.load_model("models:/raytune-planes@champion")
        answer = model.predict(np.array([[1, 2, 3, 4]], dtype=np.float32))
    finally:
        mlflow.set_tracking_uri(before)
    assert answer.tolist() == [[3, 6, 9, 12]]
    assert model.metadata.signature.inputs.to_dict()[0]["tensor-spec"]["shape"] == (-1, 4)
    written = capfd.readouterr()
    assert written.out == ""
    assert written.err == ""


def test_nothing_of_ours_is_pickled(out: Path) -> None:
    play(JsonlTracker(out))
    register(out)
    found = {p.suffix for p in (out / "mlartifacts").rglob("*") if p.is_file()}
    assert not found & {".pkl", ".pickle", ".cloudpickle"}
    assert list((out / "mlartifacts").rglob("mlflow_serving.py"))


def test_registering_again_makes_no_second_version(out: Path) -> None:
    play(JsonlTracker(out))
    assert register(out) == register(out) == ("1", "1")


@pytest.mark.parametrize(("score", "champion"), [("99.0", "1"), ("-99.0", "2")])
def test_the_alias_moves_only_to_a_model_that_scores_no_less_for_the_same_goal_on_the_same_data(
    out: Path, score: str, champion: str
) -> None:
    play(JsonlTracker(out))
    register(out)
    client = connect(default_uri(out))
    client.set_model_version_tag("raytune-planes", "1", "trial_id", "of another study")
    client.set_model_version_tag("raytune-planes", "1", "score", score)
    assert register(out) == ("2", champion)
    assert client.get_model_version_by_alias("raytune-planes", "champion").version == int(champion)


def test_a_better_study_takes_the_alias(out: Path) -> None:
    play(JsonlTracker(out))
    register(out)
    (out / "quick-1").rename(out / "aside")
    play(JsonlTracker(out), start=replace(START, started_ms=START.started_ms + 1))
    assert register(out) == ("2", "2")
    champion = connect(default_uri(out)).get_model_version_by_alias("raytune-planes", "champion")
    assert str(champion.version) == "2"


def test_a_study_without_a_complete_trial_has_no_champion(out: Path) -> None:
    failed = ended(trial(0), End.FAILED, "it raised", epoch(1, 0.1))
    play(JsonlTracker(out), trials=(failed,))
    with pytest.raises(UserError, match="study quick-1 has no complete trial, so there is no model to register"):
        register(out)


def test_requirements_are_not_inferred(out: Path) -> None:
    play(JsonlTracker(out))
    started = time.perf_counter()
    register(out)
    assert time.perf_counter() - started < 60
    (path,) = (out / "mlartifacts").rglob("requirements.txt")
    assert "torch" not in path.read_text()
    assert "numpy" in path.read_text()
    assert "tests.tracking.test_mlflow_registry" in sys.modules
