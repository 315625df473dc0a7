"""The main job end to end: a study on synthetic data through Ray, Optuna and MLflow, and what follows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytune_planes.cli import main
from raytune_planes.records import HIGHER_IS_BETTER, End, EpochRecord
from raytune_planes.tracking import reading
from raytune_planes.tracking.final import handed_over, read_final
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from raytune_planes.tracking.mlflow_fields import BEST_FIRST, short_names
from raytune_planes.tracking.mlflow_place import current_store
from raytune_planes.tracking.reading import StudyFiles

SPACE = """
about: Does the search work?
objectives: [{metric: val/fgvc/accuracy}, {metric: val/hrplanes/iou}]
floors: {val/planesnet/accuracy: 0.1}
fixed:
  budget.epochs: 2
  budget.steps_per_epoch: 6
  budget.batch_size: 8
  model.backbone.width: 8
  model.dit.heads: 2
  datasets.fgvc.image_size: 16
  datasets.hrplanes.image_size: 32
  datasets.planesnet.image_size: 16
search:
  optim.lr: {float: [1e-3, 1e-2], log: true}
  datasets.fgvc.head.depth: {int: [0, 2]}
study: {rungs: {enabled: false}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one study of four trials has run on small synthetic data."""
    folder = tmp_path_factory.mktemp("main-job")
    (folder / "mine.yaml").write_text(SPACE)
    assert main(["synth", str(folder / "data"), "--planesnet=60", "--hrplanes=6", "--fgvc=24", "--fgvc-classes=2"]) == 0
    assert main(tune(folder, "--name", "first", "--trials", "4")) == 0
    return folder


def tune(folder: Path, *more: str) -> list[str]:
    places = ["--data", str(folder / "data"), "--out", str(folder / "results"), "--cache", str(folder / "cache")]
    return ["tune", str(folder / "mine.yaml"), *places, *more]


def study(folder: Path) -> StudyFiles:
    return reading.read_study(folder / "results" / "first")


@pytest.mark.slow
def test_every_trial_is_recorded_and_the_first_is_the_defaults(place: Path) -> None:
    trials = study(place).trials
    assert [t.number for t in trials] == [0, 1, 2, 3]
    assert all(t.end is End.COMPLETED and len(t.epochs) == 2 for t in trials)
    assert trials[0].drawn == {"optim.lr": 0.002, "datasets.fgvc.head.depth": 1}
    assert study(place).start.synthetic


@pytest.mark.slow
def test_mlflow_holds_one_parent_and_a_child_per_trial_with_equal_figures(place: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{place / 'results' / 'mlflow.db'}")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    children = {r.data.tags["trial_id"]: r for r in runs if r.data.tags["kind"] == "trial"}
    alone = {r.data.tags["dataset"]: r for r in runs if r.data.tags["kind"] == "reference"}
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    assert len(parents) == 1
    of = {r.data.tags["mlflow.parentRunId"] for r in (*children.values(), *alone.values())}
    assert of == {parents[0].info.run_id}
    assert set(alone) == set(study(place).alone)
    assert set(children) == {t.trial_id for t in study(place).trials}
    for trial in study(place).trials:
        run = children[trial.trial_id]
        assert run.info.status == "FINISHED"
        names = short_names(study(place).start.searched)
        drawn = {names[path]: f"{value:.4g}" for path, value in trial.drawn.items()}
        assert drawn.items() <= run.data.params.items()
        history = client.get_metric_history(run.info.run_id, "val/fgvc/accuracy")
        assert [(m.step, m.value) for m in history] == [(e.epoch, e.metrics["val/fgvc/accuracy"]) for e in trial.epochs]


@pytest.mark.slow
def test_best_agrees_with_mlflow(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mlflow import MlflowClient

    capsys.readouterr()
    assert main(["best", "first", "--json", "--out", str(place / "results")]) == 0
    best = json.loads(capsys.readouterr().out)["best"]
    client = MlflowClient(f"sqlite:///{place / 'results' / 'mlflow.db'}")
    found = client.search_runs(
        [e.experiment_id for e in client.search_experiments()],
        order_by=list(BEST_FIRST),  # of equal scores, which so few pictures give, the first trial is best
    )
    assert best["trial_id"] == found[0].data.tags["trial_id"]
    assert best["score"] == pytest.approx(found[0].data.metrics["score"])


@pytest.mark.slow
def test_training_the_best_configuration_again_repeats_its_metrics_exactly(place: Path) -> None:
    best = json_best(place)
    trial = next(t for t in study(place).trials if t.trial_id == best)
    config = place / "results" / "first" / "best.yaml"
    data = ["--data", str(place / "data"), "--cache", str(place / "cache")]
    assert main(["train", "--config", str(config), *data, "--out", str(place / "again")]) == 0
    again, told = reading.read_epochs(place / "again" / "epochs.jsonl")
    assert told == ()
    assert [dict(e.metrics) for e in again] == [dict(e.metrics) for e in trial.epochs]


@pytest.mark.slow
def test_the_champion_loads_from_the_registry_and_answers(place: Path) -> None:
    import mlflow
    import pandas

    chip = next((place / "data" / "planesnet").rglob("1__*.png")).read_bytes()
    photograph = next((place / "data" / "fgvc-aircraft-2013b").rglob("*.jpg")).read_bytes()
    with current_store(default_uri(place / "results")):
        model = mlflow.pyfunc.load_model("models:/raytune-planes@champion")
    assert model.metadata.signature is not None
    answers = model.predict(pandas.DataFrame({"dataset": ["planesnet", "fgvc"], "image": [chip, photograph]}))
    assert answers[0]["labels"][0]["label"] in ("no plane", "plane", "background")
    assert 0 < answers[1]["labels"][0]["probability"] <= 1


@pytest.mark.slow
def test_a_finished_study_can_be_extended_and_its_best_confirmed_on_the_test_split(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {t.trial_id: t for t in study(place).trials}
    line = ["tune", "--resume", "first", "--trials", "5", "--out", str(place / "results")]
    assert main([*line, "--final", "3", "--confirm", "1", "--seeds", "2"]) == 0
    shown = capsys.readouterr().out
    assert "On the test split, each configuration's best epoch by validation after 3 epochs, mean" in shown
    final = read_final(study(place))
    assert final is not None
    assert f"final training: {final.verdict}" in shown
    assert {len(t.epochs) for t in final.trained} == {3}
    handed = handed_over(study(place))
    assert handed is not None
    assert (handed.trial, handed.epochs) == (final.held, 3)
    client = connect(default_uri(place / "results"))
    runs = client.search_runs([client.get_experiment_by_name("raytune-planes").experiment_id], "tags.kind = 'final'")
    assert {run.data.tags["trial_id"] for run in runs} == {t.trial_id for t in final.trained}
    versions = client.search_model_versions("name = 'raytune-planes'")
    assert handed.trial.trial_id in {v.tags["trial_id"] for v in versions}
    confirmed = json.loads((place / "results" / "first" / "confirm.json").read_text())
    assert [c["number"] == 0 for c in confirmed] == [True, False]
    for configuration in confirmed:
        found = configuration["metrics"]["test/fgvc/accuracy"]
        assert len(found["values"]) == 2
        assert (found["low"], found["high"]) == (None, None), "two seeds give no interval"
        assert found["sample"]["unit"] == "pictures"
    trials = study(place).trials
    assert [t.number for t in trials] == [0, 1, 2, 3, 4]
    assert all(same(before[t.trial_id].epochs, t.epochs) for t in trials[:4])


def same(one: tuple[EpochRecord, ...], other: tuple[EpochRecord, ...]) -> bool:
    return [e.to_json() for e in one] == [e.to_json() for e in other]


def json_best(place: Path) -> str:
    from raytune_planes.report.summary import summarise

    found = summarise(study(place))
    assert found is not None
    assert set(found.epoch.metrics) >= {f"val/fgvc/{name}" for name in HIGHER_IS_BETTER[:3]}
    return found.best.trial_id


@pytest.mark.slow
def test_a_name_that_is_taken_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tune(place, "--name", "first")) == 2
    assert "continue with --resume first" in capsys.readouterr().err
