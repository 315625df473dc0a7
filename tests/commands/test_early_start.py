"""Trainings and studies that begin while their pictures are decoded: equal results, and broken pictures by name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from raytune_planes.cli import main
from raytune_planes.datasets import cache, early
from raytune_planes.datasets.base import Sample
from raytune_planes.datasets.fgvc import FGVCAircraft
from raytune_planes.tracking import reading
from raytune_planes.training.checkpoint import load
from tests.commands.test_main_job import SPACE
from tests.datasets.test_early import until

BEGINS = "training begins while its"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    sizes = ["--planesnet=60", "--hrplanes=6", "--fgvc=24", "--fgvc-classes=2"]
    assert main(["synth", str(tmp_path / "data"), *sizes]) == 0
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def every_size_begins_early(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cache, "SMALL_BYTES", 0)
    yield
    early.stop()


def train(folder: Path, name: str, *more: str) -> int:
    (folder / "mine.yaml").write_text(SPACE.split("search:")[0].split("fixed:")[1].replace("\n  ", "\n"))
    there = folder / name
    places = ["--data", str(folder / "data"), "--cache", str(there / "cache"), "--out", str(there / "out")]
    return main(["train", "--config", str(folder / "mine.yaml"), *places, *more])


def tune(folder: Path) -> int:
    (folder / "study.yaml").write_text(SPACE)
    places = ["--data", str(folder / "data"), "--cache", str(folder / "cache"), "--out", str(folder / "results")]
    return main(["tune", str(folder / "study.yaml"), *places, "--name", "s", "--trials", "2", "--no-references"])


def broken(data: Path) -> Path:
    """A photograph that can be opened, and not decoded."""
    path = sorted((data / "fgvc-aircraft-2013b").rglob("*.jpg"))[5]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def test_a_training_that_begins_early_ends_with_the_same_weights(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, load_picture = threading.Event(), FGVCAircraft.load

    def slow(self: FGVCAircraft, sample: object) -> object:
        assert begun.wait(60), "training began before its pictures were there"
        return load_picture(self, sample)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(FGVCAircraft, "load", slow)
        patched.setattr("raytune_planes.commands.training_run.embed_prompts", _then(begun))
        assert train(tmp_path, "early") == 0
    assert BEGINS in capsys.readouterr().out
    monkeypatch.undo()
    assert train(tmp_path, "whole") == 0
    assert BEGINS not in capsys.readouterr().out
    early_weights, weights = (load(tmp_path / name / "out" / "best.pt")["weights"] for name in ("early", "whole"))
    assert early_weights.keys() == weights.keys()
    assert all(torch.equal(early_weights[key], weights[key]) for key in weights)


def _then(begun: threading.Event) -> object:
    from raytune_planes.preparation.prompts import embed_prompts

    def embed(*given: object) -> object:
        begun.set()
        return embed_prompts(*given)  # type: ignore[arg-type]

    return embed


def test_a_broken_picture_ends_a_training_by_its_name(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = broken(data)
    assert train(tmp_path, "early") == 2
    told = capsys.readouterr()
    assert str(path) in told.err
    assert "Traceback" not in told.err + told.out
    assert not early._running, "the next run of this process begins anew"


def test_a_picture_that_is_found_broken_before_the_study_begins_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = broken(data)
    monkeypatch.setattr("raytune_planes.commands.study_run.remember", lambda *_: until(lambda: bool(early.broken())))
    assert tune(tmp_path) == 2
    told = capsys.readouterr()
    assert f"\nraytune-planes tune: {path}" in f"\n{told.err}"  # a busy machine says first that Ray is starting
    assert not early._running, "the next run of this process begins anew"


@pytest.mark.slow
def test_a_picture_that_is_found_broken_later_ends_the_study_and_fails_no_trial(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, load_picture, trials = broken(data), FGVCAircraft.load, tmp_path / "results" / "s" / "trials"

    def slow(self: FGVCAircraft, sample: Sample) -> object:
        if sample.path == path:
            until(lambda: trials.is_dir() and any(trials.iterdir()))
        return load_picture(self, sample)

    monkeypatch.setattr(FGVCAircraft, "load", slow)
    assert tune(tmp_path) == 130
    told = capsys.readouterr()
    assert path.name in told.out
    assert "Traceback" not in told.err + told.out
    study = reading.read_study(tmp_path / "results" / "s")
    assert {str(trial.end) for trial in study.trials} == {"interrupted"}
