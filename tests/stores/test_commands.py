"""Commands on a study in a bucket, on a machine that has none of it: they answer as on a folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.cli import main
from raytune_planes.commands.find_model import find_model
from raytune_planes.commands.stored import folder_of, opened
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.records import End, Goal, Objective, TrialRecord
from raytune_planes.serving.ensemble import Ensemble
from raytune_planes.settings import load
from raytune_planes.stores.address import where
from raytune_planes.tracking import DataDescription, JsonlTracker
from raytune_planes.tracking.files import LAST, trial_folder
from raytune_planes.tracking.reading import read_epochs
from raytune_planes.training import checkpoint
from tests.stores.server import Server
from tests.tracking.studies import START, play

GOAL = Goal((Objective("val/planesnet/accuracy"),))
SPACE = "objectives: [val/planesnet/accuracy]\nsearch: {seed: {int: [0, 9]}}\nstudy: {keep: 1}\n"
SMALL = ("--only=planesnet", "--set=budget.epochs=1", "--set=budget.steps_per_epoch=4", "--set=budget.batch_size=4")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data`` and, in ``results``, the study ``night`` of two trials with weights of their own."""
    folder = tmp_path_factory.mktemp("made")
    synthesise(folder / "data", planesnet=40, hrplanes=0, fgvc=0, fgvc_classes=2, seed=0)
    given, trials, out = [f"--data={folder / 'data'}", f"--cache={folder / 'cache'}"], list[TrialRecord](), {}
    for number in range(2):
        out[number] = folder / f"train-{number}"
        assert main(["train", *given, *SMALL, f"--set=seed={number}", f"--out={out[number]}"]) == 0
        epochs, config = read_epochs(out[number] / "epochs.jsonl")[0], load(out[number] / "config.yaml")
        drawn = {"seed": number}
        trials.append(TrialRecord(f"t{number}", number, drawn, config, epochs, End.COMPLETED, "1 epoch", 1, 2))
    counts = {"train": 32, "val": 4, "test": 4}
    start = replace(START, name="night", goal=GOAL, space_text=SPACE, searched=("seed",))
    play(
        JsonlTracker(folder / "results"),
        start=replace(start, data={"planesnet": DataDescription("f00d", counts, synthetic=True)}),
        trials=tuple(trials),
    )
    study = folder / "results" / "night"
    for number in range(2):
        place = trial_folder(study, number, f"t{number}")
        for name in ("best.pt", "val.npz"):
            if (out[number] / name).is_file():
                shutil.copyfile(out[number] / name, place / name)
        weights = checkpoint.load(place / "best.pt")["weights"]
        checkpoint.save({"model": weights, "optimizer": weights, "epoch": 1}, place / LAST)
    (study / "asked.json").write_text(json.dumps({"data": str(folder / "data"), "cache": str(folder / "cache")}))
    return folder


@pytest.fixture
def there(s3: Server, bucket: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the results, in a process that stands for a machine which knows nothing of them."""
    s3.put_folder(made / "results", bucket, "results")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    s3.line.requests.clear()
    return f"s3://{bucket}/results"


def weights_here(place: str) -> list[str]:
    folder = folder_of(where(place))
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.pt"))


def test_a_dry_run_of_prune_tells_the_same_and_fetches_no_weights(
    there: str, made: Path, s3: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for place in (there, str(made / "results")):
        assert main(["prune", "night", "--dry-run", "--json", "--out", place]) == 0
        told.append(json.loads(capsys.readouterr().out))
    for each, root in zip(told, (folder_of(where(there)), made / "results"), strict=True):
        for removed in each["removed"]:
            removed["path"] = Path(removed["path"]).relative_to(root).as_posix()
    assert told[0] == told[1]
    assert {removed["what"] for removed in told[0]["removed"]} == {"weights", "optimiser state"}
    assert weights_here(there) == []
    assert not [path for method, path in s3.line.requests if method == "GET" and path.endswith("best.pt")]


def test_prune_removes_in_the_bucket_what_it_said(
    there: str, made: Path, s3: Server, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(s3.names(bucket))
    assert main(["prune", "night", "--dry-run", "--json", "--out", there]) == 0
    removed = {r["path"] for r in json.loads(capsys.readouterr().out)["removed"] if r["what"] == "weights"}
    assert removed
    assert main(["prune", "night", "--out", there]) == 0
    capsys.readouterr()
    gone = {str(folder_of(where(there)) / name.removeprefix("results/")) for name in before - set(s3.names(bucket))}
    assert gone == removed
    assert main(["prune", "night", "--dry-run", "--json", "--out", there]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == []


def test_best_and_report_are_those_of_a_folder(
    there: str, made: Path, s3: Server, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for place in (there, str(made / "results")):
        assert main(["best", "night", "--json", "--out", place]) == 0
        told.append(json.loads(capsys.readouterr().out)["best"])
    assert told[0]["trial"] == told[1]["trial"]
    assert told[0]["metrics"] == told[1]["metrics"]
    assert weights_here(there) == [], "the best are told without any weights"
    assert main(["report", "night", "--no-pictures", "--out", there]) == 0
    assert "results/plots/night/report.html" in s3.names(bucket)


def test_models_are_exported_and_served_from_a_bucket(there: str, made: Path, tmp_path: Path) -> None:
    words = ("--dataset", "planesnet", "--format", "torchscript", "--out", str(tmp_path / "planes.ts"))
    assert main(["export", "night", *words, "--studies", there]) == 0
    assert (tmp_path / "planes.ts").stat().st_size > 0
    assert find_model("night", opened(where(there), "night")).infos.keys() == {"planesnet"}


def test_an_ensemble_made_from_a_bucket_is_kept_there_and_answers_on_another_machine(
    there: str,
    made: Path,
    s3: Server,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["ensemble", "night", "--method", "soft", "--out", there]) == 0
    assert "results/night/ensemble/ensemble.json" in s3.names(bucket)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    picture = str(next((made / "data" / "planesnet").rglob("*.png")))
    capsys.readouterr()
    assert main(["predict", "night/ensemble", picture, "--json", "--studies", there]) == 0
    assert json.loads(capsys.readouterr().out)
    assert isinstance(find_model("night/ensemble", folder_of(where(there))), Ensemble)


@pytest.mark.parametrize(
    "words",
    [
        ["best"],
        ["report"],
        ["prune"],
        ["prune", "--dry-run"],
        ["ensemble"],
        ["predict", "PICTURE"],
        ["serve", "--port=0"],
    ],
    ids=" ".join,
)
def test_a_study_that_is_not_in_the_bucket_is_told_with_those_that_are(
    there: str, made: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    verb, *more = words
    more = [str(next((made / "data").rglob("*.png"))) if word == "PICTURE" else word for word in more]
    option = "--studies" if verb in ("predict", "serve") else "--out"
    assert main([verb, "nigth", *more, option, there]) == 2
    said = capsys.readouterr().err
    assert "nigth" in said
    assert "Traceback" not in said


def test_a_new_study_or_training_that_is_refused_leaves_nothing_in_the_bucket(
    s3: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    out = f"s3://{bucket}/results"
    assert main(["tune", "quick", f"--data={tmp_path / 'absent'}", "--name=night", f"--out={out}"]) == 2
    assert main(["train", f"--data={tmp_path / 'absent'}", f"--out={out}/one"]) == 2
    found = [item["Key"] for item in s3.client.list_objects_v2(Bucket=bucket).get("Contents", [])]
    assert not [name for name in found if "night" in name or "one" in name]
    capsys.readouterr()
    assert main(["train", f"--out={out}/plots"]) == 2
    assert "'plots' cannot name a training" in capsys.readouterr().err


def test_where_a_folder_has_no_study_the_addresses_that_this_machine_knows_are_named(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["studies", "--out", there]) == 0
    assert "This machine knows" not in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert main(["studies"]) == 0
    assert f"This machine knows studies in {there}: raytune-planes studies --out {there}" in capsys.readouterr().out


def test_on_another_machine_the_best_is_predicted_with_and_trained_again_as_it_is_said(
    there: str, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["best", "night", "--json", "--out", there]) == 0
    told = json.loads(capsys.readouterr().out)["best"]["commands"]
    said, again = told["predict with it"], told["train it again"]
    assert said == f"raytune-planes predict night IMAGE... --studies {there}"
    picture = next((made / "data" / "planesnet").rglob("*.png"))
    assert main(said.replace("IMAGE...", str(picture)).split()[1:]) == 0
    assert again.startswith(f"raytune-planes train --config {there}/night/")
    assert main([*again.split()[1:], *SMALL, f"--cache={made / 'cache'}", f"--out={made / 'again'}"]) == 0
    assert "Epochs are ranked by the goal of study night" in capsys.readouterr().out
    assert main(["train", "--config", f"{there}/absent/best.yaml"]) == 2
    assert "no study is there; give the best.yaml" in capsys.readouterr().err


def test_what_this_machine_drove_outlives_a_bucket_that_is_emptied_and_is_sent_again(
    there: str, s3: Server, bucket: str
) -> None:
    assert main(["prune", "night", "--out", there]) == 0
    before = s3.objects(bucket, "results/night/")
    for name in s3.names(bucket):
        s3.client.delete_object(Bucket=bucket, Key=name)
    assert main(["best", "night", "--out", there]) == 0
    assert main(["prune", "night", "--out", there]) == 0
    assert s3.objects(bucket, "results/night/") == before
