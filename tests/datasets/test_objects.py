"""Pictures of several objects under one label: named, and cut into pictures that stay together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.datasets.base import SPLITS
from raytune_planes.datasets.objects import find_several, split_objects
from raytune_planes.datasets.yolo import Box, write_boxes
from raytune_planes.errors import UserError
from tests.datasets.test_image_folder import reader

RED, BLUE, GREY = (250, 0, 0), (0, 0, 250), (90, 90, 90)


def picture(
    path: Path, *objects: tuple[Box, tuple[int, int, int]], boxes: bool = False, mask: Path | None = None
) -> None:
    """A grey picture of 60 x 40 pixels with coloured objects, perhaps a label file, and a mask."""
    image, shape = Image.new("RGB", (60, 40), GREY), Image.new("L", (60, 40))
    for box, colour in objects:
        area = tuple(map(int, box))
        image.paste(colour, area)
        shape.paste(255, area)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    if boxes:
        write_boxes(path.with_suffix(".txt"), [box for box, _ in objects], 60, 40)
    if mask:
        mask.parent.mkdir(parents=True, exist_ok=True)
        shape.save(mask)


ONE: Box = (5.0, 5.0, 15.0, 15.0)
TWO: Box = (35.0, 20.0, 55.0, 30.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of eight pictures with one object each, and one with a red and a blue one and a label file."""
    for name in ("jet", "glider"):
        for n in range(8):
            picture(tmp_path / "own" / name / f"{n}.png", (ONE, (n * 20, 200, 0)), boxes=True)
    picture(tmp_path / "own" / "jet" / "two.png", (TWO, BLUE), (ONE, RED), boxes=True)
    (tmp_path / "own" / "jet" / "0.txt").write_text("a jet at sunset\n")  # a caption
    return tmp_path / "own"


def test_pictures_with_several_boxes_are_named_and_counted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = reader(root)
    (found,) = find_several(own, own.scan())
    assert own.scan().samples[found.sample].path.name == "two.png"
    np.testing.assert_allclose(found.boxes, [ONE, TWO], atol=0.01)
    assert main(["data", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["several_objects"] == {
        "pictures": 1,
        "objects": 2,
        "examples": ["jet/two.png"],
    }
    assert main(["data", str(root)]) == 0
    assert "several objects under one label: 1 picture with 2 objects (--split-objects" in capsys.readouterr().out


def test_objects_are_cut_out_with_their_label_and_stay_in_one_group(root: Path, tmp_path: Path) -> None:
    own = reader(root)
    listing = own.scan()
    assert split_objects(own, listing, list(find_several(own, listing)), tmp_path / "cut") == 2
    anew = reader(tmp_path / "cut").scan()
    assert anew.info.classes == listing.info.classes
    assert len(anew.samples) == 18
    cut = [s for s in anew.samples if "-two-" in s.path.name]
    assert {s.group for s in cut} == {cut[0].group}
    assert {anew.info.classes[s.label] for s in cut} == {"jet"}
    assert sum(s.group == cut[0].group for s in anew.samples) == 2
    colours = [Image.open(s.path).convert("RGB").getpixel((6, 6)) for s in sorted(cut, key=lambda s: s.path.name)]
    assert colours == [RED, BLUE]
    with Image.open(sorted(s.path for s in cut)[1]) as second:
        assert second.size == (24, 14)  # 20 x 10 and a tenth of the longer side around it
    before = {s: sorted(listing.samples[i].label for i in listing.splits[s]) for s in SPLITS}
    after = {s: [anew.samples[i] for i in anew.splits[s]] for s in SPLITS}
    where = next(s for s in SPLITS if any("-two-" in x.path.name for x in after[s]))
    assert {s: len(after[s]) for s in SPLITS} == {s: len(before[s]) + (s == where) for s in SPLITS}


def test_the_parts_of_a_mask_are_objects_and_their_masks_are_cut_along(tmp_path: Path) -> None:
    root = tmp_path / "own"
    for name in ("jet", "glider"):
        for n in range(8):
            own = ((ONE, RED), (TWO, BLUE)) if (name, n) == ("jet", 3) else ((ONE, RED),)
            picture(root / "images" / name / f"{n}.png", *own, mask=root / "masks" / name / f"{n}.png")
    own_reader = reader(root)
    listing = own_reader.scan()
    (found,) = find_several(own_reader, listing)
    assert found.boxes == (ONE, TWO)
    split_objects(own_reader, listing, [found], tmp_path / "cut")
    anew = reader(tmp_path / "cut")
    samples = anew.scan().samples
    assert len(samples) == 17
    assert all(sample.mask is not None for sample in samples)
    whole = [np.asarray(Image.open(s.mask)).max() for s in samples if s.mask]
    assert set(whole) == {255}


def test_a_detector_finds_objects_where_nothing_else_tells_of_them(root: Path) -> None:
    for text in root.rglob("*.txt"):
        text.unlink()
    own = reader(root)
    listing = own.scan()
    assert list(find_several(own, listing)) == []

    def detect(path: Path) -> Sequence[Box]:
        return (TWO, ONE) if path.name == "two.png" else (ONE,)

    (found,) = find_several(own, listing, detect)
    assert found.boxes == (ONE, TWO)


def test_the_command_writes_the_dataset_anew_and_says_how_to_use_it(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cut"
    assert main(["data", str(root), "--split-objects", str(out)]) == 0
    assert f"mine: 1 picture cut into 2, one for each object, in {out / 'mine'}" in capsys.readouterr().err
    assert main(["data", str(out / "mine")]) == 0
    assert "several objects" not in capsys.readouterr().out
    assert main(["data", str(root), "--split-objects", str(out)]) == 2
    assert f"{out / 'mine'} holds something already" in capsys.readouterr().err


@pytest.mark.parametrize("names", [("a_b", "a\\b"), ("jet", "JET")], ids=["sign", "case"])
def test_classes_that_would_share_a_folder_are_refused(names: tuple[str, str], root: Path, tmp_path: Path) -> None:
    for before, after in zip(("jet", "glider"), names, strict=True):
        (root / before).rename(root / f"x{after}")
    for after in names:
        (root / f"x{after}").rename(root / after)
    own = reader(root)
    with pytest.raises(UserError, match="cannot be folders: two of them have one name there"):
        split_objects(own, own.scan(), (), tmp_path / "cut")


@pytest.mark.parametrize("name", ["..", ".", ".jet"])
def test_a_class_whose_name_begins_with_a_dot_stays_a_class(name: str, root: Path, tmp_path: Path) -> None:
    own = reader(root)
    listing = own.scan()
    named = tuple(name if each == "jet" else each for each in listing.info.classes)
    split_objects(own, replace(listing, info=replace(listing.info, classes=named)), (), tmp_path / "cut")
    again = reader(tmp_path / "cut").scan()
    assert again.info.classes == tuple(sorted(("glider", f"_{name[1:]}")))
    assert len(again.samples) == len(listing.samples)
