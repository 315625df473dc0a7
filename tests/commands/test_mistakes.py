"""Every mistake of a person is one message and exit status 2, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raytune_planes.cli import main
from raytune_planes.datasets.synthetic import synthesise

SPACE = "objectives: [{metric: val/fgvc/accuracy}]\nsearch:\n  %s\n"
SMALL = ["--set", "budget.epochs=1", "--set", "budget.steps_per_epoch=1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small synthetic data in the three formats."""
    folder = tmp_path_factory.mktemp("data")
    synthesise(folder, planesnet=24, hrplanes=3, fgvc=12, fgvc_classes=2, seed=0, scene_side=320)
    return folder


@pytest.fixture
def copy(data: Path, tmp_path: Path) -> Path:
    """A copy of the data that a test may damage."""
    import shutil

    shutil.copytree(data, tmp_path / "data")
    return tmp_path / "data"


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message of a command line that must end with status 2."""
    try:
        status = main(arguments)
    except SystemExit as left:  # argparse leaves by itself
        status = left.code if isinstance(left.code, int) else 1
    said = capsys.readouterr().err
    assert status == 2, said
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tnue"], "invalid choice: 'tnue'"),
        (["tune", "--trials", "0"], "0 is too small; give 1 or more"),
        (["tune", "--trials", "many"], "'many' is no whole number"),
        (["tune", "--hours", "x"], "'x' is no number"),
        (["tune", "--sampler", "magic"], "invalid choice: 'magic'"),
        (["tune", "qick"], "did you mean 'quick'"),
        (["tune", "--name", "a/b"], "'a/b' cannot name a study"),
        (["tune", "--data", "no/such/folder"], "no folder no/such/folder; --data names a folder that holds planesnet/"),
        (["tune", "--set", "datasets.fvgc.head.depth=1"], "did you mean 'fgvc'"),
        (["tune", "--set", "optim.lr"], "has no '='"),
        (["data", ".", "--conflicts", "one"], "--conflicts says how --clean works; give --clean too"),
        (["data", ".", "--detector", "first"], "--detector says how --split-objects works"),
        (["tune", "--config", "gone.yaml"], "no file gone.yaml"),
        (["tune", "--start-from", "gone.yaml"], "no file gone.yaml"),
        (["tune", "--resume", "gone"], "no study 'gone' to resume"),
        (["train", "--set", "optim.lrr=1"], "did you mean 'optim.lr'"),
        (["train", "--set", "devices.exact=maybe"], "devices.exact = 'maybe': input should be true or false"),
        (["train", "--set", "budget.epochs=0"], "budget.epochs = 0: input should be greater than or equal to 1"),
        (["train", "--set", "seed=-1"], "seed = -1"),
        (["train", "--set", "datasets.fgvc.image_size=65"], "multiple of 8"),
        (["train", "--set", "model.dit.heads=5"], "does not divide"),
        (["train", "--config", "gone.yaml"], "no file gone.yaml"),
        (["train", "--resume"], "nothing to resume"),
        (["check", "gone.yaml"], "gone.yaml"),
        (["check", "quick", "--set", "optim.lrr=1"], "did you mean 'optim.lr'"),
        (["synth", ".", "--seed", "0"], "is not empty"),
        (["synth", "x", "--planesnet", "3"], "3 is too small; give 24 or more"),
        (["synth", "x", "--fgvc-classes", "5", "--fgvc", "6"], "fgvc"),
        (["best"], "no study in results"),
        (["best", "gone"], "no study in results"),
        (["ui", "--port", "0"], "0 is too small"),
        (["best", "--josn"], "raytune-planes best: error: no option '--josn'; did you mean '--json'?"),
        (["tune", "--trails=3"], "raytune-planes tune: error: no option '--trails'; did you mean '--trials'?"),
        (["check", "own", "--data", "x"], "no option '--data'; 'raytune-planes check --help' lists them"),
        (["studies", "first"], "raytune-planes studies: error: unexpected argument 'first'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_on_the_command_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "something").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert message in told(capsys, *arguments)


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_what_is_no_study_to_learn_from_is_refused_before_data_are_drawn(
    more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["tune", "--learn-from", "gone.json", *more]) == 2
    said = capsys.readouterr()
    assert "--learn-from gone.json is neither a study in results" in said.err
    assert "SYNTHETIC" not in said.out + said.err


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("optim.lr: {float: [1e-4, 5]}", "optim.lr"),
        ("optim.lr: {float: [0.1, 0.01]}", "optim.lr"),
        ("datasets.fvgc.share: {float: [1, 2]}", "did you mean"),
        ("datasets.fgvc.head.depth: {int: [0, 7]}", "datasets.fgvc.head.depth"),
        ("optim.lr: {flaot: [0.1, 0.2]}", "optim.lr"),
        ("stopping.rule: {choice: [no, stop]}", "put the word in quotes"),
        ("datasets.fgvc.head.width: {choice: [64, 128], when: {datasets.fgvc.head.depth: [1]}}", "fgvc.head.depth"),
    ],
)
def test_a_mistake_in_a_space(search: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "mine.yaml").write_text(SPACE % search)
    assert message in told(capsys, "check", str(tmp_path / "mine.yaml"))


def damage_missing(data: Path) -> None:
    import shutil

    shutil.rmtree(data / "fgvc-aircraft-2013b")


def damage_picture(data: Path) -> None:
    path = sorted((data / "fgvc-aircraft-2013b" / "data" / "images").iterdir())[0]
    path.write_bytes(path.read_bytes()[:300])


def damage_label(data: Path) -> None:
    path = next(p for p in sorted((data / "hrplanes").rglob("*.txt")) if p.read_text().startswith("0 "))
    path.write_text(path.read_text() + "0 0.5 high 0.1 0.1\n")


def damage_variants(data: Path) -> None:
    (data / "fgvc-aircraft-2013b" / "data" / "variants.txt").write_text("something else\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_missing, "without --data, the commands tune and train run on synthetic data"),
        (damage_picture, ".jpg"),
        (damage_label, "is no box; expected 'class x y width height'"),
        (damage_variants, "variant"),
    ],
)
def test_a_fault_in_the_data(
    damage: Callable[[Path], None], message: str, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    damage(copy)
    out = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert message.lower() in told(capsys, "train", "--data", str(copy), *out, *SMALL).lower()


def test_oddities_are_counted_and_the_training_goes_on(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """An empty label file means no boxes; a header line in a list of FGVC is skipped and told."""
    labels = copy / "fgvc-aircraft-2013b" / "data" / "variants.txt"
    labels.write_text("Variant\n" + labels.read_text())
    empty = next(p for p in sorted((copy / "hrplanes").rglob("*.txt")) if p.read_text().startswith("0 "))
    empty.write_text("")
    out = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert main(["train", "--data", str(copy), *out, *SMALL, "--set", "budget.batch_size=4"]) == 0
    assert "fgvc: 1 header line" in capsys.readouterr().out


def test_a_folder_in_use_is_not_overwritten(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    line = ["train", "--data", str(data), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), *SMALL]
    assert main(line) == 0
    before = (tmp_path / "out" / "epochs.jsonl").read_bytes()
    assert "holds a training already" in told(capsys, *line)
    assert (tmp_path / "out" / "epochs.jsonl").read_bytes() == before


@pytest.mark.slow
def test_more_cpus_than_there_are_is_refused_before_anything_starts(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    line = ["tune", "--data", str(data), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    said = told(capsys, *line, "--cpus-per-worker", "4096", "--name", "big")
    assert "4096 CPUs" in said or "4,096 CPUs" in said
    assert not list((tmp_path / "out").glob("big/trials/*"))
