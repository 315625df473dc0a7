"""Anybody's own pictures: classes, groups, splits and masks from the names of folders, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.datasets.base import SPLITS, Listing
from raytune_planes.datasets.cache import decode
from raytune_planes.datasets.fingerprint import fingerprint
from raytune_planes.datasets.image_folder import ImageFolder
from raytune_planes.errors import UserError


def reader(root: Path, size: int = 16) -> ImageFolder:
    return ImageFolder(root, name="mine", image_size=size, tile=320)


def picture(path: Path, shape: tuple[int, int] = (24, 16), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng([seed, *path.as_posix().encode()]).integers(0, 256, (*shape, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)
    return path


def classes(root: Path, count: int = 10, names: tuple[str, ...] = ("big_jet", "glider")) -> Path:
    for name in names:
        for n in range(count):
            picture(root / name / f"{n:02d}.png")
    return root


def mask(path: Path, values_HW: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values_HW.astype(np.uint8)).save(path)


def in_split(listing: Listing, split: str) -> list[str]:
    return [listing.samples[i].path.as_posix() for i in listing.splits[split]]


def test_folders_are_classes_in_order_and_speak_in_the_prompts(tmp_path: Path) -> None:
    listing = reader(classes(tmp_path)).scan()
    assert listing.info.classes == ("big_jet", "glider")
    assert listing.info.prompts == ("a picture of big jet", "a picture of glider")
    assert [sample.label for sample in listing.samples] == [0] * 10 + [1] * 10
    assert (listing.info.has_masks, listing.info.top_k, listing.warnings) == (False, 0, ())
    assert {split: len(index) for split, index in listing.splits.items()} == {"train": 16, "val": 2, "test": 2}


def test_a_folder_of_images_stands_for_the_root(tmp_path: Path) -> None:
    listing = reader(classes(tmp_path / "images").parent).scan()
    assert listing.info.classes == ("big_jet", "glider")


def test_many_classes_have_a_top_5(tmp_path: Path) -> None:
    names = tuple(f"type {n}" for n in range(11))
    assert reader(classes(tmp_path, 3, names)).scan().info.top_k == 5


def test_pictures_of_one_scene_stay_in_one_split_also_across_classes(tmp_path: Path) -> None:
    for scene in range(12):
        for name in ("empty", "plane"):
            for n in range(3):
                picture(tmp_path / name / f"scene {scene}" / f"{n}.png")
    listing = reader(tmp_path).scan()
    owners = [{listing.samples[i].group for i in listing.splits[split]} for split in SPLITS]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 12


def test_fixed_splits_are_kept_under_any_of_their_names(tmp_path: Path) -> None:
    for split in ("train", "Validation", "test"):
        classes(tmp_path / split, 3)
    listing = reader(tmp_path).scan()
    assert {s: len(i) for s, i in listing.splits.items()} == {"train": 6, "val": 6, "test": 6}
    assert all("/Validation/" in path for path in in_split(listing, "val"))


def test_a_missing_split_is_taken_from_train_and_told(tmp_path: Path) -> None:
    classes(tmp_path / "train", 20)
    classes(tmp_path / "test", 4)
    listing = reader(tmp_path).scan()
    assert all("/test/" in path for path in in_split(listing, "test"))
    assert len(listing.splits["test"]) == 8
    assert 2 <= len(listing.splits["val"]) <= 8
    assert sum(map(len, listing.splits.values())) == 48
    assert "no folder or list of val; taken from train, whole groups" in listing.warnings


def test_a_class_named_like_a_split_beside_others_is_a_class(tmp_path: Path) -> None:
    assert reader(classes(tmp_path, 5, ("bus", "train"))).scan().info.classes == ("bus", "train")


@pytest.mark.parametrize("high", [1, 255])
def test_masks_lie_at_the_same_path_and_come_out_as_zero_and_one(tmp_path: Path, high: int) -> None:
    classes(tmp_path)
    half = np.zeros((24, 16))
    half[:, 8:] = high
    for n in range(10):
        mask(tmp_path / "masks" / "glider" / f"{n:02d}.png", half)
    own = reader(tmp_path)
    listing = own.scan()
    assert listing.info.has_masks
    assert listing.warnings == ("10 pictures without a mask, counted as empty",)
    shown = own.load(listing.samples[-1])[1]
    assert shown is not None
    np.testing.assert_array_equal(shown, np.repeat([[0] * 8 + [1] * 8], 16, axis=0))
    empty = own.load(listing.samples[0])[1]
    assert empty is not None
    assert not empty.any()


def test_the_decoded_pictures_are_those_of_the_files_and_follow_a_changed_mask(tmp_path: Path) -> None:
    classes(tmp_path / "data")
    target = tmp_path / "data" / "masks" / "glider" / "00.png"
    mask(target, np.zeros((24, 16)))
    own = reader(tmp_path / "data")
    arrays = decode(own, tmp_path / "cache")
    listing = own.scan()
    for row, sample in enumerate(listing.samples):
        np.testing.assert_array_equal(arrays.images_NHWC[row], own.load(sample)[0])
    before = fingerprint(own, listing)
    mask(target, np.pad(np.full((1, 1), 255), ((0, 23), (0, 15))))
    assert fingerprint(own, own.scan()) != before


def test_what_is_odd_is_counted(tmp_path: Path) -> None:
    classes(tmp_path / "train", 4)
    classes(tmp_path / "val", 2, ("glider",))
    classes(tmp_path / "test", 2)
    picture(tmp_path / "train" / "cover.png")
    assert reader(tmp_path).scan().warnings == (
        "splits as the folders test/, train/, val/ give them, in pictures: train 8, val 2, test 4",
        "val has no picture of big_jet",
        "1 picture in no class folder, left out: train/cover.png",
    )


def test_one_class_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"holds 1 folder of pictures; at least two classes.*\n.*expected files"
    ) as told:
        reader(classes(tmp_path, 4, ("only",))).scan()
    assert "masks/{class}/x.png" in str(told.value)


def test_too_few_groups_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"2 pictures in 2 groups cannot be split"):
        reader(classes(tmp_path, 1)).scan()


@pytest.mark.parametrize("inside", [None, "notes.txt"])
def test_a_folder_of_masks_without_a_mask_leaves_a_dataset_without_masks(tmp_path: Path, inside: str | None) -> None:
    classes(tmp_path / "data")
    (tmp_path / "data" / "masks").mkdir()
    if inside:
        (tmp_path / "data" / "masks" / inside).write_text("masks follow")
    arrays = decode(reader(tmp_path / "data"), tmp_path / "cache")
    assert (arrays.info.has_masks, arrays.masks_NHW) == (False, None)
    assert len(arrays.labels_N) == 20


def test_masks_that_belong_to_no_picture_are_refused(tmp_path: Path) -> None:
    classes(tmp_path)
    mask(tmp_path / "masks" / "other.png", np.zeros((24, 16)))
    with pytest.raises(UserError, match="none of its 1 masks has the path of a picture"):
        reader(tmp_path).scan()


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    classes(tmp_path)
    mask(tmp_path / "masks" / "glider" / "00.png", np.zeros((20, 16)))
    own = reader(tmp_path)
    with pytest.raises(UserError, match=r"00.png is 16 x 20 pixels and its picture 16 x 24; a mask has the size"):
        own.load(own.scan().samples[10])
