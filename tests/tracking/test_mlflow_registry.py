"""A trial's model in the registry: it loads from its files and answers as it did."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raytune_planes.tracking import JsonlTracker
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from raytune_planes.tracking.mlflow_model import LoggedModel
from raytune_planes.tracking.mlflow_place import MlflowPlace
from raytune_planes.tracking.mlflow_registry import Version, champion, make_champion, register_version
from tests.tracking.studies import START, artifact, play, three_trials

pytestmark = [
    pytest.mark.slow,
    # MLflow's own queries use a loader strategy that SQLAlchemy 2.1 calls deprecated.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]


def load(artifacts: Mapping[str, str]) -> Callable[[np.ndarray], np.ndarray]:
    """The loader of these tests: a model that multiplies by the number in its checkpoint."""
    factor = json.loads(Path(artifacts["checkpoint"]).read_text())["factor"]
    return lambda batch: batch * factor


def register(out: Path, checkpoint: Path | None = None, **tags: str) -> Version:
    """Register the best trial of the study ``quick-1``, and make it the champion."""
    model = LoggedModel(
        loader="tests.tracking.test_mlflow_registry:load",
        artifacts={"checkpoint": checkpoint or artifact(out / "scratch", "best.json", b'{"factor": 3.0}')},
        input_example=np.ones((2, 4), dtype=np.float32),
        output_example=np.full((2, 4), 3.0, dtype=np.float32),
        requirements=["numpy"],
    )
    place = MlflowPlace.of(out)
    version = register_version(out / "quick-1", three_trials()[3], 2, model, tags, place)
    make_champion(place.uri, version)
    assert champion(place.uri) == version
    return version


def test_the_champion_is_the_best_trials_model_with_a_signature_and_answers(
    out: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    play(JsonlTracker(out))
    before = mlflow.get_tracking_uri()
    assert champion(default_uri(out)) is None
    assert register(out).number == "1"
    assert mlflow.get_tracking_uri() == before
    client = connect(default_uri(out))
    version = client.get_model_version_by_alias("raytune-planes", "champion")
    run = client.get_run(version.run_id or "")
    best = three_trials()[3]
    marks = {"study": "quick-1", "study_id": START.study_id, "trial_id": best.trial_id}
    assert marks.items() <= version.tags.items()
    assert run.data.tags["trial_id"] == best.trial_id
    assert (run.info.status, run.info.end_time) == ("FINISHED", best.ended_ms)
    assert run.data.params == {"optim.lr": "0.004", "fgvc.head.depth": "2"}
    assert best.drawn == {"optim.lr": 0.004, "datasets.fgvc.head.depth": 2}

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


def test_registering_again_makes_no_second_version_and_brings_its_tags_up_to_date(out: Path) -> None:
    play(JsonlTracker(out))
    first, second = register(out, results="{}"), register(out, results='{"val": {}}')
    assert (first.number, second.number) == ("1", "1")
    kept = connect(default_uri(out)).get_model_version("raytune-planes", "1").tags
    assert (first.tags["results"], second.tags["results"], kept["results"]) == ("{}", '{"val": {}}', '{"val": {}}')


def test_another_study_has_a_version_of_its_own(out: Path) -> None:
    play(JsonlTracker(out))
    register(out)
    (out / "quick-1").rename(out / "aside")
    play(JsonlTracker(out), start=replace(START, started_ms=START.started_ms + 1))
    assert register(out).number == "2"


def test_requirements_are_not_inferred(out: Path) -> None:
    play(JsonlTracker(out))
    started = time.perf_counter()
    register(out)
    assert time.perf_counter() - started < 60
    (path,) = (out / "mlartifacts").rglob("requirements.txt")
    assert "torch" not in path.read_text()
    assert "numpy" in path.read_text()
    assert "tests.tracking.test_mlflow_registry" in sys.modules
