"""``predict`` from the command line: which model, which pictures, and what is told of those that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from raytune_planes.cli import main
from tests.toy import toy_data


@pytest.fixture
def chips(tmp_path: Path) -> Path:
    """A folder with two chips, one of them in a folder of its own, and a text."""
    folder = tmp_path / "chips"
    (folder / "more").mkdir(parents=True)
    for name, pixels in zip(("a.png", "more/b.png"), toy_data()["planesnet"].images_NHWC, strict=False):
        Image.fromarray(pixels).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_pictures_are_answered_in_words(weights: Path, chips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(weights), str(chips), "--dataset", "planesnet"]) == 0
    told = capsys.readouterr().out
    assert f"{chips / 'a.png'}  (16×16; dataset planesnet, asked for)" in told
    assert f"{chips / 'more' / 'b.png'}  (16×16" in told
    assert "notes" not in told


def test_the_same_as_json_with_drawings(weights: Path, chips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = chips.parent / "drawn"
    assert main(["predict", str(weights.parent), str(chips), "--json", "--out", str(drawn)]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["picture"] == str(chips / "a.png")
    assert first["top"][0]["probability"] >= first["top"][1]["probability"]
    with Image.open(first["drawn"]) as picture:
        assert picture.size[0] == 320
    assert sorted(p.name for p in drawn.iterdir()) == ["0000-a.png", "0001-b.png"]
    assert second["drawn"] == str(drawn / "0001-b.png")


def test_a_picture_that_cannot_be_read_is_told_and_the_rest_is_answered(
    weights: Path,
    chips: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (chips / "damaged.png").write_bytes((chips / "a.png").read_bytes()[:60])
    assert main(["predict", str(weights), str(chips), "--json"]) == 1
    said = capsys.readouterr()
    assert len(json.loads(said.out)) == 2
    assert f"left out: {chips / 'damaged.png'} cannot be decoded" in said.err
    assert "1 of 3 pictures could not be read" in said.err


def test_when_no_picture_can_be_read_that_is_a_mistake(
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "damaged.png").write_bytes(b"no picture")
    assert main(["predict", str(weights), str(tmp_path / "damaged.png")]) == 2
    assert "none of the 1 picture(s) could be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "picture", "more", "said"),
    [
        ("nothing", "chips", [], r"no model 'nothing'; give a best.pt"),
        ("weights", "empty", [], r"empty holds no pictures"),
        ("weights", "chips", ["--dataset", "planesnett"], "no dataset 'planesnett'; did you mean 'planesnet'"),
        ("weights", "chips", ["--out", "{chips}/a.png"], r"a\.png cannot be made: File exists; choose another --out"),
    ],
)
def test_a_mistake_is_said(
    weights: Path,
    chips: Path,
    capsys: pytest.CaptureFixture[str],
    model: str,
    picture: str,
    more: list[str],
    said: str,
) -> None:
    (chips.parent / "empty").mkdir()
    named = str(weights) if model == "weights" else model
    more = [word.format(chips=chips) for word in more]
    assert main(["predict", named, str(chips.parent / picture), *more]) == 2
    assert said.replace("\\", "") in capsys.readouterr().err
