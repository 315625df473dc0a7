"""DOTA: text files with oriented boxes in pixels and names of classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.errors import UserError
from tests.datasets.label_formats.exports import BOXES, scene
from tests.datasets.label_formats.test_coco import boxes, reader

HEADER = "imagesource:GoogleEarth\ngsd:0.146\n"
LINES = "8 30 24 16 40 30 24 48 plane 0\n100.0 40.0 120.0 40.0 120.0 50.0 100.0 50.0 large-vehicle 1\n"


def archive(root: Path, folder: str = "labelTxt", counts: tuple[int, int] = (4, 3)) -> Path:
    """As DOTA unpacks: folders of splits, no labels for test."""
    for split, count in zip(("train", "val"), counts, strict=True):
        (root / split / folder).mkdir(parents=True)
        for n in range(count):
            scene(root / split / "images" / f"P{split}{n}.png", BOXES[:1])
            (root / split / folder / f"P{split}{n}.txt").write_text(HEADER + LINES)
    return root


@pytest.mark.parametrize("folder", ["labelTxt", "labelTxt-v1.5", "labels", "images", "annfiles"])
def test_oriented_boxes_are_taken_as_their_enclosing_boxes(tmp_path: Path, folder: str) -> None:
    listing = reader(archive(tmp_path, folder), ("plane",)).scan()
    assert boxes(listing, "Ptrain0.png") == {(8, 16, 40, 48)}
    assert "14 outlines taken as their enclosing boxes" in listing.warnings
    assert "7 boxes of classes that are no planes (large-vehicle), counted as background" in listing.warnings
    assert {listing.samples[i].path.parts[-3] for i in listing.splits["val"]} == {"val"}
    assert listing.account.left_out == {}


def test_pictures_without_labels_are_left_out_and_not_taken_for_empty(tmp_path: Path) -> None:
    archive(tmp_path)
    scene(tmp_path / "test" / "images" / "P9.png")
    listing = reader(tmp_path, ("plane",)).scan()
    reason = "pictures in no label file of DOTA, left out"
    assert listing.account.left_out == {reason: ("test/images/P9.png",)}


def test_a_file_with_a_header_alone_shows_no_object(tmp_path: Path) -> None:
    (archive(tmp_path) / "train" / "labelTxt" / "Ptrain0.txt").write_text(HEADER)
    assert reader(tmp_path, ("plane",)).scan().boxes_of["train/images/Ptrain0.png"] == 0


@pytest.mark.parametrize("line", ["1 2 3 4 5 6 7 plane 0", "0 0.5 0.5 0.1 0.1", "1 2 3 4 5 6 7 nan plane 0", "8 30"])
def test_a_line_of_another_form_is_named(tmp_path: Path, line: str) -> None:
    (archive(tmp_path) / "val" / "labelTxt" / "Pval0.txt").write_text(f"{HEADER}{line}\n")
    with pytest.raises(UserError, match=rf"Pval0\.txt:3: '{line}' is no oriented box of DOTA; expected 'x1 y1 x2"):
        reader(tmp_path, ("plane",)).scan()
