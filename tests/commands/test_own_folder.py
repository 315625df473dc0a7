"""A person's own folder of images, through the command line alone: train, folds, predict, tune, report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.config import Dataset
from raytune_planes.datasets import reader
from raytune_planes.errors import UserError
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from raytune_planes.tracking.reading import read_epochs
from raytune_planes.tracking.validation import read_validation

OWN = ["--only", "mine", "--set", "datasets.mine.reader=image_folder", "--set", "datasets.mine.image_size=16"]
TINY = {
    **{"model.backbone.width": 8, "model.dit.heads": 2, "model.decoder.width": 4, "datasets.mine.head.width": 16},
    **{"budget.epochs": 2, "budget.steps_per_epoch": 12, "budget.batch_size": 8, "stopping.rule": "none"},
}
SMALL = [part for path, value in TINY.items() for part in ("--set", f"{path}={value}")]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars across and bars down, with masks of them."""
    folder = tmp_path_factory.mktemp("own")
    random = np.random.default_rng(0)
    for name in ("across", "down"):
        for n in range(30):
            mask = np.zeros((20, 20), np.uint8)
            at = int(random.integers(3, 14))
            mask[at : at + 4] = 255
            mask = mask.T if name == "down" else mask
            picture = random.integers(0, 90, (20, 20, 3)) + mask[..., None] // 2
            for kind, pixels in (("images", picture.astype(np.uint8)), ("masks", mask)):
                (folder / kind / name).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / kind / name / f"{n}.png")
    return folder


def line(root: Path, tmp_path: Path) -> list[str]:
    place = ["--cache", str(tmp_path / "cache"), "--set", f"datasets.mine.root={root}"]
    return [*place, *OWN, *SMALL]


def test_it_is_trained_with_no_other_data_and_predicts(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["train", *line(root, tmp_path), "--out", str(tmp_path / "run"), "--test"]) == 0
    said = capsys.readouterr().out
    assert "SYNTHETIC" not in said
    assert "mine: 48 train, 6 val, 6 test; 2 classes at 16 px" in said
    further = next(text for text in said.splitlines() if text.startswith("test, further metrics of mine: "))
    assert further.split()[5::2] == ["class_accuracy", "f1", "iou", "dice"], "also those of the masks that were brought"
    picture = root / "images" / "across" / "0.png"
    assert main(["predict", str(tmp_path / "run" / "best.pt"), str(picture), "--dataset", "mine"]) == 0
    said = capsys.readouterr().out
    assert "across" in said or "down" in said


def test_masks_without_classes_are_refused_with_what_to_do(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for kind in ("images", "masks"):
        shutil.copytree(root / kind / "down", tmp_path / kind)
    assert main(["data", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert (
        "holds 0 folders of pictures; at least two classes are needed\nThere are masks. Masks without classes" in told
    )
    assert "or name the class of each picture in labels.csv" in told


def test_a_dataset_that_data_names_itself_is_told_the_setting(root: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=f"no folder {root}/image_folder\nIf {root} is the dataset itself, set "
    ) as told:
        reader("mine", Dataset(reader="image_folder"), root).scan()
    assert f"set datasets.mine.root={root}.\n" in str(told.value)
    with pytest.raises(UserError, match="no folder ") as told:
        reader("mine", Dataset(reader="image_folder", root=str(root / "gone")), None).scan()
    assert "is the dataset itself" not in str(told.value)


def test_data_tells_that_masks_were_found(root: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["data", str(root)]) == 0
    assert "  masks: 60 pictures have one; validation measures iou and dice\n" in capsys.readouterr().out


@pytest.mark.parametrize("how", [["--dry-run"], []], ids=["dry", "started"])
def test_a_goal_that_the_pictures_cannot_measure_is_refused_before_any_trial(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture, how: list[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(
        "objectives: [{metric: val/mine/iou}, {metric: val/mine/accuracy}]\nfloors: {val/mine/ap50: 0.1}\n"
        "fixed: {losses.detection.weight: 1.0, datasets.mine.reader: image_folder}\n"
        "search: {optim.lr: {float: [1e-4, 1e-2]}}\n"
    )
    unmasked = line(root / "images", tmp_path)
    words = ["tune", str(tmp_path / "mine.yaml"), *unmasked, "--out", str(tmp_path / "out"), *how]
    assert main(words) == 2
    assert capsys.readouterr().err.splitlines()[-3:] == [
        "raytune-planes tune: objectives and floors: 2 problems",
        "  - 'val/mine/iou' is never measured: dataset mine has no masks; name another metric of it",
        "  - 'val/mine/ap50' is never measured: dataset mine has no boxes; name another metric of it",
    ]
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
def test_a_training_is_in_mlflow_where_the_environment_names_a_store_and_nowhere_else(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    assert main(["train", *line(root, tmp_path), "--out", str(here / "quiet")]) == 0
    assert [path.name for path in here.iterdir()] == ["quiet"]
    uri = default_uri(tmp_path / "store")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "planes")
    capsys.readouterr()
    assert main(["train", *line(root, tmp_path), "--out", str(here / "run")]) == 0
    said = capsys.readouterr().out
    assert f"MLflow: {uri}, experiment 'planes' (from MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME" in said
    assert f"MLflow at {uri} has the training, as 'here/run' in experiment 'planes'" in said
    client = connect(uri)
    experiment = client.get_experiment_by_name("planes")
    assert experiment is not None
    runs = {str(run.info.run_name): run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"here/run", "trial 001"}
    trial = runs["trial 001"]
    assert (trial.info.status, trial.data.params["budget.epochs"]) == ("FINISHED", "2")
    epochs, _ = read_epochs(here / "run" / "epochs.jsonl")
    logged = client.get_metric_history(trial.info.run_id, "val/mine/accuracy")
    assert [m.value for m in logged] == [epoch.metrics["val/mine/accuracy"] for epoch in epochs]
    kept = {f.path for f in client.list_artifacts(trial.info.run_id)}
    assert {"best.pt", "config.yaml", "epochs.jsonl"} <= kept
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert main(["train", *line(root, tmp_path), "--out", str(here / "away")]) == 0
    said = capsys.readouterr().out
    assert "MLflow at http://127.0.0.1:1 did not take the training: " in said
    assert (here / "away" / "best.pt").is_file()


@pytest.mark.slow
def test_folds_give_mean_and_spread_and_an_answer_of_every_picture(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = ["train", *line(root, tmp_path), "--out", str(tmp_path / "folds"), "--folds", "3"]
    assert main(arguments) == 0
    assert "mine: 36 train, 18 val, 6 test" in capsys.readouterr().out
    told = json.loads((tmp_path / "folds" / "folds.json").read_text())["metrics"]["val/mine/accuracy"]
    answers = read_validation(tmp_path / "folds")["mine"]
    assert len(set(answers.pictures_N.tolist())) == len(answers.pictures_N) == 54
    right = (answers.logits_NK.argmax(1) == answers.labels_N).mean()
    assert told["mean"] == pytest.approx(right)
    assert told["deviation"] == pytest.approx(np.std(told["values"], ddof=1))
    assert main([*arguments, "--resume"]) == 0
    assert json.loads((tmp_path / "folds" / "folds.json").read_text())["metrics"]["val/mine/accuracy"] == told
    assert main([*arguments[:-1], "2"]) == 2
    assert "holds 3 folds already; give --folds 3 with --resume" in capsys.readouterr().err


@pytest.mark.slow
def test_folds_list_a_wrong_label_first_with_its_picture_and_a_contact_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    own, random = tmp_path / "own", np.random.default_rng(1)
    for name, colour in (("red", (220, 30, 30)), ("blue", (30, 30, 220))):
        (own / name).mkdir(parents=True)
        for n in range(30):
            pixels = np.clip(random.normal(colour, 25, (20, 20, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(own / name / f"{n}.png")
    (own / "red" / "7.png").rename(own / "blue" / "planted.png")
    longer = ["--set", "budget.steps_per_epoch=40", "--set", "budget.epochs=3"]
    out = tmp_path / "folds"
    assert main(["train", *line(own, tmp_path), *longer, "--out", str(out), "--folds", "3"]) == 0
    told = json.loads((out / "labels.json").read_text())["mine"]
    said = capsys.readouterr().out
    assert told["suspects"][0]["picture"] == "blue/planted.png"
    assert (told["suspects"][0]["label"], told["suspects"][0]["likely"]) == ("blue", "red")
    assert told["suspects"][0]["probability"] < 0.2 < 0.8 < told["suspects"][0]["probability_of_likely"]
    assert told["pictures"] == len(read_validation(out)["mine"].labels_N)
    assert [s["probability"] for s in told["suspects"]] == sorted(s["probability"] for s in told["suspects"])
    assert f"{len(told['suspects'])} of {told['pictures']} labels look wrong to models that did not train on" in said
    with Image.open(out / "labels-mine.png") as sheet:
        assert sheet.width > 600


def test_it_trains_beside_the_standard_data(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from raytune_planes.datasets.synthetic import synthesise

    synthesise(tmp_path / "data", planesnet=24, hrplanes=0, fgvc=0, fgvc_classes=2, seed=0)
    both = [part.replace("mine", "mine,planesnet") if part == "mine" else part for part in line(root, tmp_path)]
    assert main(["train", *both, "--data", str(tmp_path / "data"), "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "mine: 48 train" in said
    assert "planesnet: SYNTHETIC" in said


def test_without_a_root_it_says_what_to_set(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", *OWN, "--out", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")]) == 2
    assert "dataset 'mine' has no folder: set datasets.mine.root" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_is_tuned_and_reported_with_the_packaged_space(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    place = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    own = ["--set", f"datasets.mine.root={root}", "--set", "datasets.mine.image_size=16"]
    assert main(["tune", "own", *place, *own, *SMALL, "--trials", "2", "--name", "own"]) == 0
    capsys.readouterr()
    assert main(["best", "own", "--out", str(tmp_path / "out")]) == 0
    assert "val/mine/class_accuracy" in capsys.readouterr().out
    study = json.loads((tmp_path / "out" / "own" / "study.json").read_text())
    assert list(study["start"]["data"]) == ["mine"]
    drawn = {path.name for path in (tmp_path / "out" / "plots" / "own").iterdir()}
    assert {"examples_mine.png", "masks_mine.png"} <= drawn


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_is_tuned_on_every_fold_and_the_winner_trained_again_has_the_same_mean(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    place = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    own = ["--set", f"datasets.mine.root={root}", "--set", "datasets.mine.image_size=16"]
    folds = ["--set", "split.kind=kfold", "--set", "split.folds=3"]
    assert main(["tune", "own", *place, *own, *SMALL, *folds, "--trials", "2", "--no-rungs", "--name", "own"]) == 0
    capsys.readouterr()
    out = tmp_path / "out" / "own"
    assert main(["best", "own", "--out", str(tmp_path / "out"), "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["best"]
    key = "val/mine/class_accuracy"
    assert best["metrics"][key] == pytest.approx(np.mean([fold[key] for fold in best["folds"]]))
    assert best["gains"][key]["n"] == 54, "each picture of training and validation answers once"
    again = best["commands"]["train it again"]
    assert again.endswith(" --folds 3")
    drawn = {path.name for path in (tmp_path / "out" / "plots" / "own").iterdir()}
    assert {"examples_mine.png", "masks_mine.png"} <= drawn
    assert main(["best", "own", "--out", str(tmp_path / "out")]) == 0
    assert f"trial {best['trial']} over its 3 folds" in capsys.readouterr().out

    arguments = again.split("raytune-planes ", 1)[1].split()
    assert main([*arguments, "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "again")]) == 0
    told = json.loads((tmp_path / "again" / "folds.json").read_text())["metrics"]
    assert told["val/mine/accuracy"]["mean"] == best["metrics"]["val/mine/accuracy"]
    assert told["val/mine/iou"]["values"] == [fold["val/mine/iou"] for fold in best["folds"]]
    number, trial_id = best["trial"], best["trial_id"]
    mine = read_validation(out / "trials" / f"{number:04d}-{trial_id}")["mine"]
    theirs = read_validation(tmp_path / "again")["mine"]
    assert np.array_equal(mine.logits_NK, theirs.logits_NK)
    assert mine.pictures_N.tolist() == theirs.pictures_N.tolist()
    assert main(["ensemble", "own", *place]) == 0
