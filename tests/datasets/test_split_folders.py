"""Splits by the names of folders, as exports have them, and copies of one picture that stay together."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.datasets.base import SPLITS, Listing
from raytune_planes.datasets.hrplanes import HRPlanes
from raytune_planes.datasets.hygiene import examine
from raytune_planes.datasets.split_folders import source_name
from tests.datasets.test_image_folder import picture
from tests.datasets.test_image_folder import reader as folder_reader


def reader(root: Path) -> HRPlanes:
    return HRPlanes(root, name="mine", image_size=32, tile=64)


def scene(root: Path, images: str, labels: str, name: str) -> None:
    """A picture of 128 x 128 pixels with one box, in the folders of an export."""
    for folder in (images, labels):
        (root / folder).mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([*name.encode()]).integers(0, 255, (128, 128, 3), np.uint8)
    Image.fromarray(pixels).save(root / images / f"{name}.jpg")
    (root / labels / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")


def tops(listing: Listing, root: Path, level: int = 0) -> dict[str, set[str]]:
    """The folders of each split's pictures."""
    return {
        split: {listing.samples[i].path.relative_to(root).parts[level] for i in listing.splits[split]}
        for split in SPLITS
    }


@pytest.mark.parametrize("layout", ["{split}/images {split}/labels", "images/{split} labels/{split}"])
def test_the_splits_of_an_export_are_kept(tmp_path: Path, layout: str) -> None:
    for split, count in (("train", 14), ("valid", 4), ("test", 2)):
        for n in range(count):
            scene(tmp_path, *layout.format(split=split).split(), f"{split}{n // 2}_jpg.rf.{n:032x}")
    listing = reader(tmp_path).scan()
    level = 0 if layout.startswith("{") else 1
    assert tops(listing, tmp_path, level) == {"train": {"train"}, "val": {"valid"}, "test": {"test"}}
    assert {s.path.name for s in listing.samples} == {p.name for p in tmp_path.rglob("*.jpg")}
    start = "" if level == 0 else "images/"
    folders = f"{start}test/, {start}train/, {start}valid/"
    assert listing.warnings[0] == f"splits as the folders {folders} give them, in pictures: train 14, val 4, test 2"


def test_folders_of_splits_may_end_with_a_year(tmp_path: Path) -> None:
    for split, count in (("train2017", 7), ("val2017", 2), ("test2017", 1)):
        for n in range(count):
            scene(tmp_path, f"images/{split}", f"labels/{split}", f"{split}_{n}")
    listing = reader(tmp_path).scan()
    assert tops(listing, tmp_path, 1) == {"train": {"train2017"}, "val": {"val2017"}, "test": {"test2017"}}
    assert [len(listing.scene_splits[split]) for split in SPLITS] == [7, 2, 1]


def test_an_export_without_test_takes_it_from_train_by_source(tmp_path: Path) -> None:
    for n in range(30):
        scene(tmp_path, "train/images", "train/labels", f"a{n // 3}_jpg.rf.{n:032x}")
    for n in range(4):
        scene(tmp_path, "valid/images", "valid/labels", f"b{n}_jpg.rf.{n:032x}")
    listing = reader(tmp_path).scan()
    assert "no folder or list of test; taken from train, whole groups" in listing.warnings
    groups = {split: {listing.samples[i].group for i in listing.splits[split]} for split in SPLITS}
    assert groups["val"] == {f"images/b{n}.jpg" for n in range(4)}
    assert len(groups["train"]) + len(groups["test"]) == 10
    assert groups["train"].isdisjoint(groups["test"])


def test_scenes_beside_the_splits_are_left_out_and_named(tmp_path: Path) -> None:
    for split in ("train", "valid", "test", "sample"):
        for n in range(2):
            scene(tmp_path, f"{split}/images", f"{split}/labels", f"{split}{n}")
    listing = reader(tmp_path).scan()
    assert tops(listing, tmp_path) == {"train": {"train"}, "val": {"valid"}, "test": {"test"}}
    left = "2 pictures outside of test/, train/, valid/, in a folder that names no split, left out"
    assert f"{left}: sample/images/sample0.jpg, sample/images/sample1.jpg" in listing.warnings


def test_a_scene_called_test_has_a_label_file_and_no_list(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "test"):
        scene(tmp_path, "img", "img", name)
    listing = reader(tmp_path).scan()
    assert {sample.path.stem for sample in listing.samples} == {"a", "b", "c", "test"}


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("X_jpg.rf.0123456789abcdef0123456789abcdef.jpg", "X.jpg"),
        ("plane_12_png.rf.AbCdEfGh01.jpg", "plane_12.png"),
        ("X.rf.0123456789abcdef.jpg", "X.jpg"),
        ("X.jpg", None),
        ("surf.rf.jpg", None),
    ],
)
def test_a_copy_is_known_by_its_name(name: str, source: str | None) -> None:
    assert source_name(name) == source


def test_augmented_scenes_of_one_source_lie_in_one_split(tmp_path: Path) -> None:
    for n in range(24):
        scene(tmp_path, "img", "img", f"s{n // 3}_jpg.rf.{n:032x}")
    scene(tmp_path, "img", "img", "s0")
    listing = reader(tmp_path).scan()
    groups = [{listing.samples[i].group for i in listing.splits[split]} for split in SPLITS]
    assert set.union(*groups) == {f"img/s{n}.jpg" for n in range(8)}
    assert sum(map(len, groups)) == 8
    of_first = {sample.path.name for sample in listing.samples if sample.group == "img/s0.jpg"}
    assert of_first == {"s0.jpg", *(f"s0_jpg.rf.{n:032x}.jpg" for n in range(3))}


def test_augmented_pictures_of_one_source_lie_in_one_split(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for n in range(24):
            picture(tmp_path / name / f"x{n // 3}_png.rf.{n:032x}.png")
    listing = folder_reader(tmp_path).scan()
    groups = [{listing.samples[i].group for i in listing.splits[split]} for split in SPLITS]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 16


def test_copies_in_two_given_splits_are_a_fault(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        for name in ("a", "b"):
            for n in range(2):
                picture(tmp_path / split / name / f"{split}{n}_png.rf.{n:032x}.png")
    moved = tmp_path / "train" / "a" / f"train0_png.rf.{0:032x}.png"
    shutil.copy(moved, tmp_path / "valid" / "a" / f"train0_png.rf.{9:032x}.png")
    found = examine(folder_reader(tmp_path))
    assert found.faults["pictures with copies (.rf.) in several splits"] == 1
    warning = "1 picture with copies (.rf.) in several splits: a/train0.png; a source belongs to one"
    assert warning in found.listing.warnings
