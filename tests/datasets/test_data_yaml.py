"""``data.yaml`` as Ultralytics and Roboflow write it: folders and lists of splits, and names of classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.datasets.base import SPLITS, Listing
from raytune_planes.errors import UserError
from tests.datasets.label_formats.exports import BOXES, scene, yolo
from tests.datasets.label_formats.test_coco import boxes, reader

PARTS = {"a": 4, "b": 2, "c": 2}
"""Folders whose names tell no split."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part, count in PARTS.items():
        for n in range(count):
            scene(tmp_path / "images" / part / f"{part}{n}.png")
            yolo(tmp_path / "labels" / part / f"{part}{n}.txt")
    return tmp_path


def parts(listing: Listing) -> dict[str, set[str]]:
    return {split: {listing.samples[i].path.name for i in listing.splits[split]} for split in SPLITS}


@pytest.mark.parametrize(
    "text",
    [
        "train: images/a\nval: images/b\ntest: images/c\n",
        "path: .\ntrain: ./images/a\nvalid: [images/b]\ntest: images/c/\n",
        "path: images\ntrain: a\nval: b\ntest: c\n",
        "path: /home/somebody/planes/images\ntrain: a\nval: b\ntest: c\n",
        "train: ../images/a\nval: ..\\images\\b\ntest: ../images/c\n",
        "path: ../datasets/planes\ntrain: images/a\nval: images/b\ntest: images/c\n",
    ],
)
def test_the_folders_that_it_names_are_the_splits(root: Path, text: str) -> None:
    (root / "data.yaml").write_text(f"{text}nc: 1\nnames: [airplane]\n")
    listing = reader(root).scan()
    assert parts(listing) == {
        split: {f"{part}{n}.png" for n in range(PARTS[part])} for split, part in zip(SPLITS, PARTS, strict=True)
    }
    assert "splits as data.yaml gives them, in pictures: train 4, val 2, test 2" in listing.warnings
    assert listing.account.left_out == {}


def test_lists_and_several_folders_for_a_split_are_read(root: Path) -> None:
    (root / "mine.txt").write_text("./images/a/a0.png\nimages/a/a1.png\n")
    (root / "data.yaml").write_text("train: [mine.txt, images/c]\nval: images/b\n")
    listing = reader(root).scan()
    found = parts(listing)
    assert found["val"] == {"b0.png", "b1.png"}
    assert found["train"] | found["test"] == {"a0.png", "a1.png", "c0.png", "c1.png"}
    assert "no folder or list of test; taken from train, whole groups" in listing.warnings
    assert listing.account.left_out == {
        "pictures in no split of data.yaml, left out": ("images/a/a2.png", "images/a/a3.png"),
    }


def test_pictures_that_are_named_for_train_and_val_are_not_validated_on(root: Path) -> None:
    (root / "data.yaml").write_text("train: images\nval: images\n")
    listing = reader(root).scan()
    found = parts(listing)
    assert found["train"].isdisjoint(found["val"])
    assert len(found["train"] | found["val"] | found["test"]) == 8
    assert "data.yaml names the pictures of train for val as well; they stay in train" in listing.warnings


def test_a_picture_of_two_splits_goes_to_the_later(root: Path) -> None:
    (root / "data.yaml").write_text("train: images\nval: images/b\ntest: images/c\n")
    assert parts(reader(root).scan())["train"] == {f"a{n}.png" for n in range(4)}


def test_places_outside_of_the_root_are_not_read_and_told(root: Path) -> None:
    (root / "data.yaml").write_text("train: /elsewhere/x\nval: ../../y\nnames: {0: airplane}\n")
    warnings = reader(root).scan().warnings
    assert "2 entries of data.yaml without a picture of the dataset: train: /elsewhere/x, val: ../../y" in warnings
    assert "no lists of splits; scenes were split 80/10/10" in warnings


def test_classes_are_named_by_it(root: Path) -> None:
    yolo(root / "labels" / "a" / "a0.txt", kind=1)
    (root / "data.yaml").write_text("names: {0: airplane, 1: ship}\n")
    with pytest.raises(UserError, match=r"several classes: 0 airplane \(14\), 1 ship \(2\)"):
        reader(root).scan()
    assert reader(root, ("airplane",)).scan().boxes_of["images/a/a0.png"] == 0


def test_key_points_behind_boxes_are_no_outlines(root: Path) -> None:
    for path in (root / "labels").rglob("*.txt"):
        path.write_text("".join(f"{line} 0.9 0.9 2 0.95 0.95 1\n" for line in path.read_text().splitlines()))
    (root / "data.yaml").write_text("kpt_shape: [2, 3]\nnames: [airplane]\n")
    listing = reader(root).scan()
    assert {tuple(map(round, box)) for box in boxes(listing, "a0.png")} == set(BOXES)
    assert "16 boxes with key points, which were ignored" in listing.warnings


def test_a_file_that_is_no_yaml_is_refused(root: Path) -> None:
    (root / "data.yaml").write_text("train: [images/a\n")
    with pytest.raises(UserError, match=r"data\.yaml cannot be read as YAML"):
        reader(root).scan()


def test_a_list_whose_name_no_disk_takes_leads_to_no_picture(root: Path) -> None:
    (root / "data.yaml").write_text(f"train: [images/a, {'x' * 300}.txt]\nval: images/b\ntest: images/c\n")
    listing = reader(root).scan()
    assert {split: len(names) for split, names in parts(listing).items()} == {"train": 4, "val": 2, "test": 2}
    assert any(w.startswith("1 entry of data.yaml without a picture") for w in listing.warnings)


def test_where_train_names_no_picture_val_is_not_said_to_name_those_of_train(root: Path) -> None:
    (root / "data.yaml").write_text("train: images/absent\nval: images/b\n")
    warnings = reader(root).scan().warnings
    assert not [w for w in warnings if "names the pictures of train" in w]
    assert "1 entry of data.yaml without a picture of the dataset: train: images/absent" in warnings
