"""A disk that is full, read-only or somebody else's costs a message, never what was written before."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.records import End
from raytune_planes.tracking import JsonlTracker, Trackers, files, read_study
from raytune_planes.tracking.files import append_whole, write_whole
from raytune_planes.training import checkpoint
from tests.chaos.disk import as_nobody, fill, mounted, read_only
from tests.toy import toy_data
from tests.tracking.studies import FINISH, START, play, three_trials

SMALL = (
    *("--set", "budget.epochs=3", "--set", "budget.steps_per_epoch=2", "--set", "budget.batch_size=4"),
    *("--set", "model.backbone.width=8", "--set", "model.dit.heads=2", "--set", "datasets.fgvc.image_size=16"),
)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Where small data and its cache lie, as arguments."""
    folder = tmp_path_factory.mktemp("material")
    synthesise(folder / "data", planesnet=24, hrplanes=3, fgvc=12, fgvc_classes=2, seed=0, scene_side=320)
    return ("--data", str(folder / "data"), "--cache", str(folder / "cache"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", mib=16) as folder:
        yield folder


def trained(folder: Path, material: tuple[str, ...], *more: str) -> int:
    return main(["train", "--out", str(folder), *material, *SMALL, *more])


def test_a_training_whose_disk_fills_up_says_so_and_goes_on_once_there_is_room(
    disk: Path, material: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(tmp_path / "calm", material) == 0
    size = 4 * (tmp_path / "calm" / "best.pt").stat().st_size  # with a state of three times as much
    filling = fill(disk, leave=int(1.5 * size))  # one epoch fits, a second checkpoint beside the first does not

    assert trained(disk / "run", material) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "Files written before are intact" in said
    assert "Traceback" not in said
    last = checkpoint.load(disk / "run" / "last.pt")
    assert list((disk / "run").glob(".*")) == [], "no half of a file stays behind"

    filling.unlink()
    assert trained(disk / "run", material, "--resume") == 0
    assert len(checkpoint.load(disk / "run" / "last.pt")["told"]) == 3 > last["epoch"]
    calm, shot = (checkpoint.load(folder / "best.pt")["weights"] for folder in (tmp_path / "calm", disk / "run"))
    assert all(torch.equal(calm[name], shot[name]) for name in calm)


def test_records_that_found_no_room_are_written_at_the_end_of_their_trial(disk: Path) -> None:
    trackers, (trial, *_) = Trackers(JsonlTracker(disk)), three_trials()
    many = {f"val/fgvc/class_{n}": 0.5 for n in range(500)}  # more than what is left of a page of the disk
    trial = replace(trial, epochs=tuple(replace(e, metrics={**e.metrics, **many}) for e in trial.epochs))
    trackers.start_study(START)
    trackers.start_trial(replace(trial, end=End.RUNNING, epochs=()))
    trackers.log_epoch(trial.trial_id, trial.epochs[0])
    filling = fill(disk)
    trackers.log_epoch(trial.trial_id, trial.epochs[1])
    (running,) = read_study(disk / START.name).trials
    assert (running.end, running.epochs) == (End.RUNNING, trial.epochs[:1])

    filling.unlink()
    trackers.end_trial(trial)
    trackers.end_study(FINISH)
    assert read_study(disk / START.name).trials == (trial,)


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(disk: Path) -> None:
    path = disk / "last.pt"
    checkpoint.save({"epoch": 1}, path)
    fill(disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save({"epoch": 2, "model": torch.zeros(100_000)}, path)
    assert checkpoint.load(path)["epoch"] == 1


def test_a_write_that_finds_no_room_names_its_file(disk: Path) -> None:
    (disk / "lines").write_bytes(b"one\n")
    fill(disk)
    for write in (lambda path: write_whole(path, b"x" * 10_000), lambda path: append_whole(path, b"x" * 10_000)):
        with pytest.raises(OSError, match="No space left") as found:
            write(disk / "lines")
        assert found.value.filename == str(disk / "lines")
        assert (disk / "lines").read_bytes() == b"one\n"


def test_drawings_that_find_no_room_are_told_with_the_file(
    disk: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(toy_data()["planesnet"].images_NHWC[0]).save(tmp_path / "a.png")
    fill(disk)
    line = ["predict", str(weights), str(tmp_path / "a.png"), "--dataset", "planesnet", "--out", str(disk)]
    assert main(line) == 2
    said = capsys.readouterr().err
    assert f"No space left on device: {disk / '0000-a.png'}. Files written before are intact" in said
    assert list(disk.iterdir()) == [disk / "filling"]


def test_drawn_data_that_finds_no_room_is_told(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(disk, leave=64 * 1024)
    assert main(["synth", str(disk / "data"), "--planesnet", "24", "--hrplanes", "3", "--fgvc", "12",
                 "--fgvc-classes", "2"]) == 2  # fmt: skip
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "None" not in said


def test_a_training_whose_folder_vanishes_says_so_and_leaves_no_half_of_one(
    material: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, write = tmp_path / "run", files.append_whole

    def vanish_after(path: Path, line: bytes) -> None:
        write(path, line)
        out.rename(tmp_path / "away")

    monkeypatch.setattr(files, "append_whole", vanish_after)
    assert trained(out, material) == 2
    said = capsys.readouterr().err
    assert f"No such file or directory: {out}. Files written before are intact; bring it back" in said
    assert not out.exists()

    monkeypatch.undo()
    (tmp_path / "away").rename(out)
    assert trained(out, material, "--resume") == 0
    assert [json.loads(line)["epoch"] for line in (out / "epochs.jsonl").read_text().splitlines()] == [1, 2, 3]


@pytest.mark.parametrize(
    "arguments",
    [["train", "--out", "{long}"], ["train", "--out", "file/x"], ["synth", "{long}"], ["best", "--out", "{long}"]],
    ids=lambda words: " ".join(words),
)
def test_a_place_that_cannot_be_is_a_mistake(
    arguments: list[str],
    material: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    more = (*material, *SMALL) if arguments[0] == "train" else ()
    assert main([*(word.format(long="x" * 300) for word in arguments), *more]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["train", "tune"])
def test_results_on_a_read_only_disk_are_refused_before_the_work(
    verb: str, disk: Path, material: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    read_only(disk)
    assert main([verb, "--out", str(disk / "run"), *material, *SMALL]) == 2
    said = capsys.readouterr().err
    assert "cannot be written" in said
    assert "--out" in said


def test_a_study_on_a_read_only_disk_can_still_be_looked_at(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(JsonlTracker(disk))
    read_only(disk)
    assert main(["best", "--out", str(disk)]) == 0
    assert "quick-1" in capsys.readouterr().out
    assert main(["report", "--no-pictures", "--out", str(disk)]) == 2
    assert "Read-only file system" in capsys.readouterr().err


def test_a_folder_of_somebody_else_is_refused() -> None:
    import raytune_planes.commands.study_run  # noqa: F401 - who has no rights may not see where it lies

    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # every folder above pytest's own is closed to others
    try:
        folder.chmod(0o755)
        synthesise(folder / "data", planesnet=24, hrplanes=3, fgvc=12, fgvc_classes=2, seed=0, scene_side=320)
        (folder / "cache").mkdir()
        (folder / "cache").chmod(0o777)
        places = ["--data", str(folder / "data"), "--cache", str(folder / "cache"), "--out", str(folder / "out")]
        status, said = as_nobody(lambda: main(["tune", "--name", "mine", *places, *SMALL]))
    finally:
        shutil.rmtree(folder)
    assert status == 2, said
    assert f"results cannot be written to {folder}/out/mine: [Errno 13] Permission denied" in said
    assert "Traceback" not in said


def test_the_disk_is_what_it_is_taken_for(disk: Path) -> None:
    assert sys.platform == "linux"
    assert shutil.disk_usage(disk).total == 16 * 2**20
