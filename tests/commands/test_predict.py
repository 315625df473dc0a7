"""``predict`` from the command line: which model, which pictures, and what is told of those that cannot be read."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.errors import UserError
from raytune_planes.serving import Predictor
from raytune_planes.serving.answers import answer
from raytune_planes.training import checkpoint
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
    assert first["labels"][0]["probability"] >= first["labels"][1]["probability"]
    with Image.open(first["drawn"]) as picture:
        assert picture.size[0] == 320
    assert sorted(p.name for p in drawn.iterdir()) == ["0000-a.png", "0001-b.png"]
    assert second["drawn"] == str(drawn / "0001-b.png")
    assert main(["predict", str(weights.parent), str(chips / "a.png"), "--out", str(drawn)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"  drawn: {drawn / '0000-a.png'}"


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
    assert "1 of 3 pictures could not be answered" in said.err


def test_a_picture_that_is_not_there_is_told_with_what_is_allowed(
    weights: Path, chips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(weights), "nope.jpg"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("raytune-planes predict: no file or folder nope.jpg; give pictures (.avif .bmp ")
    assert said.endswith("or others by content), or folders of them\n")
    assert main(["predict", str(weights), "nope.jpg", "gone/"]) == 2
    assert "2 problems\n  - no file or folder nope.jpg" in capsys.readouterr().err
    assert main(["predict", str(weights), "nope.jpg", str(chips), "--json"]) == 1
    told = capsys.readouterr()
    assert len(json.loads(told.out)) == 2
    assert "left out: no file or folder nope.jpg; give pictures" in told.err
    with pytest.raises(UserError, match=r"^no picture nope\.jpg: there is no such file$"):
        answer(Predictor.load(weights), Path("nope.jpg"))


def test_when_no_picture_can_be_read_that_is_a_mistake(
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "damaged.png").write_bytes(b"no picture")
    assert main(["predict", str(weights), str(tmp_path / "damaged.png")]) == 2
    assert "none of 1 picture could be answered" in capsys.readouterr().err


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


def test_a_link_that_leaves_the_folder_costs_only_itself(
    weights: Path, chips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(chips / "a.png", tmp_path / "outside.png")
    (chips / "b.png").symlink_to(tmp_path / "outside.png")
    (chips / "c.png").symlink_to("nothing")
    (chips / "d.png").symlink_to("d.png")
    os.mkfifo(chips / "e.png")
    assert main(["predict", str(weights), str(chips), "--dataset", "planesnet", "--json"]) == 1
    said = capsys.readouterr()
    assert [told["picture"] for told in json.loads(said.out)] == [str(chips / "a.png"), str(chips / "more" / "b.png")]
    assert f"left out: {chips / 'b.png'} leads outside of {chips}" in said.err
    assert "name the link itself to have it read" in said.err
    for name in "cd":
        assert f"left out: {chips / name}.png is a link that leads to nothing" in said.err
    assert f"left out: {chips / 'e.png'} is a named pipe, not a file" in said.err
    assert "4 of 6 pictures could not be answered" in said.err


def test_a_link_that_is_given_itself_is_followed(
    weights: Path, chips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (chips / "a.png").rename(tmp_path / "outside")
    (chips / "a.png").symlink_to(tmp_path / "outside")
    assert main(["predict", str(weights), str(chips / "a.png"), "--dataset", "planesnet", "--json"]) == 0
    linked = json.loads(capsys.readouterr().out)
    assert main(["predict", str(weights), str(tmp_path / "outside"), "--dataset", "planesnet", "--json"]) == 0
    (plain,) = json.loads(capsys.readouterr().out)
    assert linked == [{**plain, "picture": str(chips / "a.png")}]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_a_picture_that_is_no_file_is_left_out(
    make: Callable[[Path], None], weights: Path, chips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(chips.parent / "odd.png")
    line = ["predict", str(weights), str(chips.parent / "odd.png"), str(chips / "a.png"), "--dataset", "planesnet"]
    assert main(line) == 1
    said = capsys.readouterr()
    assert f"{chips / 'a.png'}  (16×16" in said.out
    assert "odd.png cannot be decoded: it is a " in said.err


def test_a_model_that_is_a_pipe_is_not_waited_for(
    chips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "best.pt")
    assert main(["predict", str(tmp_path / "best.pt"), str(chips)]) == 2
    assert "best.pt" in capsys.readouterr().err


def test_a_long_name_is_cut_in_the_drawing_s_name(
    weights: Path, chips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = chips.parent / "drawn"
    for stem in ("x" * 251, "é" * 125):  # 255 bytes with the suffix
        (chips / "a.png").rename(chips / f"{stem}.png")
        line = ["predict", str(weights), str(chips / f"{stem}.png"), "--dataset", "planesnet", "--out", str(drawn)]
        assert main(line) == 0
        (chips / f"{stem}.png").rename(chips / "a.png")
    assert sorted(p.name for p in drawn.iterdir()) == [f"0000-{'x' * 195}.png", f"0000-{'é' * 97}.png"]
    capsys.readouterr()


def test_names_and_classes_reach_the_terminal_as_words(
    weights: Path, chips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "\x1b]0;owned\x07\na.png"
    (chips / "a.png").rename(chips / name)
    (chips / "\x1b[2J.png").write_bytes(b"no picture")
    state = checkpoint.load(weights)
    classes = {**state["infos"]["planesnet"], "classes": ("\x1b[31mno plane", "plane\nplane")}
    checkpoint.save({**state, "infos": {**state["infos"], "planesnet": classes}}, tmp_path / "best.pt")
    assert main(["predict", str(tmp_path / "best.pt"), str(chips), "--dataset", "planesnet"]) == 1
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert f"{chips}/\\x1b]0;owned\\x07\\na.png  (16×16" in said.out
    assert "  \\x1b[31mno plane\n" in said.out
    assert "  plane\\nplane\n" in said.out
    assert f"left out: {chips}/\\x1b[2J.png cannot be decoded" in said.err


def test_a_model_of_synthetic_pictures_says_so_in_every_answer(
    weights: Path, chips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(weights), str(chips)]) == 0
    said = capsys.readouterr()
    assert said.out.count("  by a model of SYNTHETIC pictures (planesnet, hrplanes, fgvc)\n") == 2
    assert "does not tell" not in said.err
    assert main(["predict", str(weights), str(chips), "--json"]) == 0
    assert [told["synthetic"] for told in json.loads(capsys.readouterr().out)] == [
        ["planesnet", "hrplanes", "fgvc"]
    ] * 2


def test_a_checkpoint_that_does_not_tell_its_data_is_not_taken_for_one_of_real_pictures(
    weights: Path, chips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = checkpoint.load(weights)
    del older["learnt"]
    checkpoint.save(older, chips.parent / "older.pt")
    asked = ["predict", str(chips.parent / "older.pt"), str(chips), "--json"]
    assert main([*asked, "--dataset", "planesnet"]) == 0
    said = capsys.readouterr()
    assert [told["synthetic"] for told in json.loads(said.out)] == [None, None]
    assert "This model's checkpoint does not tell whether it learnt synthetic pictures" in said.err
    assert main(asked) == 2  # nor which sizes
    assert "so say whose head is to answer: --dataset planesnet (chips, or scenes of them);" in capsys.readouterr().err


def test_a_scene_is_read_by_sliding_chips(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (200, 160), (60, 60, 60)).save(tmp_path / "scene.png")
    asked = ["predict", str(weights), str(tmp_path / "scene.png"), "--dataset", "planesnet"]
    assert main([*asked, "--scale", "2"]) == 0
    told = capsys.readouterr().out
    assert f"(200×160, {22 * 17} windows of 32 px; dataset planesnet, asked for)" in told
    assert re.search(r"^  \d+ planes?, counted by sliding windows \(error not measured\)", told, re.MULTILINE)
    assert "no plane" not in told
    assert main([*asked, "--scale", "nan"]) == 2
    assert "--scale nan: give a factor from 0.01 to 100" in capsys.readouterr().err


def test_a_picture_of_no_known_size_is_left_out_with_the_choices(
    weights: Path, chips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (1225, 1139)).save(chips / "scene.png")
    assert main(["predict", str(weights), str(chips)]) == 1
    said = capsys.readouterr()
    assert said.out.count("by size: it learnt pictures of 16×16 px") == 2
    assert f"left out: {chips / 'scene.png'}: a picture of 1225×1139 px is like those of no dataset" in said.err
    assert "1 of 3 pictures could not be answered" in said.err


def test_one_text_is_answered_by_its_similarity_alone(
    weights: Path, chips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The toy model's space is 12 wide, and no text encoder is.
    monkeypatch.setattr(Predictor, "_embed", lambda _, texts: torch.eye(12)[: len(texts)])
    asked = ["predict", str(weights), str(chips / "a.png"), "--text", "a grey airliner"]
    assert main(asked) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "grey" in line]
    assert re.fullmatch(r' +-?0\.\d{4}  "a grey airliner" \(similarity alone: one text has no probability\)', line)
    assert main([*asked, "--text", "a red one"]) == 0
    shares = [float(line.split()[0]) for line in capsys.readouterr().out.splitlines() if '" (similarity ' in line]
    assert sum(shares) == pytest.approx(1, abs=2e-4)
    assert len(shares) == 2
