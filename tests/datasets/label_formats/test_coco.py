"""COCO: boxes, outlines and masks of JSON files, their splits and classes, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytune_planes.datasets.base import SPLITS, Listing
from raytune_planes.datasets.hrplanes import HRPlanes
from raytune_planes.datasets.label_formats import rle
from raytune_planes.datasets.options import Options
from raytune_planes.errors import UserError
from tests.datasets.label_formats.exports import BOXES, coco, scene, written


def reader(root: Path, classes: tuple[str, ...] = ()) -> HRPlanes:
    return HRPlanes(root, name="mine", image_size=32, tile=192, options=Options(classes=classes))


def boxes(listing: Listing, name: str) -> set[tuple[float, ...]]:
    """Of the left one of the two square tiles of a scene."""
    return {b for s in listing.samples if s.path.name == name and s.window == (0, 0, 128, 128) for b in s.boxes}


def flat(root: Path, count: int = 6) -> dict[str, Any]:
    """Pictures in one folder, with one file for all."""
    for n in range(count):
        scene(root / "images" / f"{n}.png")
    return coco(root / "annotations.json", {f"{n}.png": BOXES for n in range(count)})


def changed(root: Path, table: dict[str, Any], **more: Any) -> None:
    """Give the first object other fields."""
    table["annotations"][0] |= more
    written(root / "annotations.json", table)


def test_the_boxes_of_a_json_file_are_read_in_pixels(tmp_path: Path) -> None:
    flat(tmp_path)
    listing = reader(tmp_path).scan()
    for n in range(6):
        assert boxes(listing, f"{n}.png") == set(BOXES)
    assert listing.boxes_of == {f"images/{n}.png": 2 for n in range(6)}
    assert "12 boxes of class airplane 1, the only one, counted as planes" in listing.warnings
    assert listing.account.left_out == {}


def test_the_mask_of_a_tile_is_drawn_where_the_planes_are(tmp_path: Path) -> None:
    flat(tmp_path)
    read = HRPlanes(tmp_path, name="mine", image_size=128, tile=128)
    sample = next(s for s in read.scan().samples if s.window == (0, 0, 128, 128))
    image_HWC, mask_HW = read.load(sample)
    assert ((image_HWC.min(2) > 200) == mask_HW.astype(bool)).all()


def test_the_folders_of_an_export_give_the_splits_and_names_may_repeat(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        scene(tmp_path / split / "a.png", BOXES[:1])
        coco(tmp_path / split / "_annotations.coco.json", {"a.png": BOXES[:1]})
    listing = reader(tmp_path).scan()
    for split, folder in (("train", "train"), ("val", "valid"), ("test", "test")):
        assert {listing.samples[i].path.parent.name for i in listing.splits[split]} == {folder}
    assert set(listing.boxes_of.values()) == {1}


def test_the_names_of_the_files_give_the_splits(tmp_path: Path) -> None:
    for split, numbers in (("train", range(4)), ("val", range(4, 6)), ("test", range(6, 8))):
        for n in numbers:
            scene(tmp_path / "images" / f"{n}.png")
        coco(tmp_path / "annotations" / f"instances_{split}2017.json", {f"{n}.png": BOXES for n in numbers})
    listing = reader(tmp_path).scan()
    assert {split: len({listing.samples[i].path for i in listing.splits[split]}) for split in SPLITS} == {
        **{"train": 4, "val": 2, "test": 2}
    }
    assert "splits as the names of the label files tell them, in pictures: train 4, val 2, test 2" in listing.warnings


def test_a_picture_that_no_file_lists_is_left_out_and_one_without_objects_is_empty(tmp_path: Path) -> None:
    flat(tmp_path)
    coco(tmp_path / "annotations.json", {"0.png": (), **{f"{n}.png": BOXES for n in range(1, 5)}, "gone.png": BOXES})
    listing = reader(tmp_path).scan()
    assert listing.boxes_of["images/0.png"] == 0
    assert listing.account.left_out == {
        "pictures in no label file of COCO, left out": ("images/5.png",),
    }
    assert "1 picture listed and not there: gone.png" in listing.warnings


def test_outlines_and_masks_stand_in_for_missing_boxes(tmp_path: Path) -> None:
    table = flat(tmp_path)
    first, second = table["annotations"][:2]
    del first["bbox"], second["bbox"]
    first["segmentation"] = [[8, 16, 40, 20, 30, 48]]
    counts = [10 * 128 + 5, 20, 108, 20, 192 * 128 - 10 * 128 - 153]  # two columns of 20 pixels each
    second["segmentation"] = {"size": [128, 192], "counts": counts}
    written(tmp_path / "annotations.json", table)
    listing = reader(tmp_path).scan()
    assert boxes(listing, "0.png") == {(8, 16, 40, 48), (10, 5, 12, 25)}
    assert "2 outlines taken as their enclosing boxes" in listing.warnings


@pytest.mark.parametrize(
    ("counts", "box"),
    [
        ([6, 1, 5], (1, 2, 2, 3)),
        ([0, 12], (0, 0, 3, 4)),
        ([3, 2, 7], (0, 0, 2, 4)),  # around the end of a column
        ([12], (0, 0, 0, 0)),
        ("615", (1, 2, 2, 3)),  # as pycocotools 2 packs [6, 1, 5]
    ],
)
def test_the_box_around_a_packed_mask(counts: list[int] | str, box: tuple[int, ...]) -> None:
    assert rle.enclosing({"size": [4, 3], "counts": counts}, "x") == box


def test_the_box_around_a_mask_that_pycocotools_packed() -> None:
    text = "h=e0W10000000000000000000000000000000000000000000gi0AQ@"  # rows 20 to 40, columns 7 to 29; 3 to 8, 44
    assert rle.enclosing({"size": [60, 50], "counts": text}, "x") == (7, 3, 45, 41)


def test_packed_masks_of_any_shape_have_the_box_of_their_pixels() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        height, width = rng.integers(2, 70, 2).tolist()
        mask_HW = rng.random((height, width)) < 3 / (height * width)
        values = mask_HW.T.reshape(-1)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], values, [1 - values[-1]]])))
        counts = np.diff([0, *edges]).tolist()
        ys, xs = np.nonzero(mask_HW)
        expected = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if len(xs) else (0, 0, 0, 0)
        assert rle.enclosing({"size": [height, width], "counts": counts}, "x") == expected
        assert rle.enclosing({"size": [height, width], "counts": packed(counts)}, "x") == expected


def packed(counts: list[int]) -> str:
    """As the reference does (maskApi.c, rleToString)."""
    out = ""
    for n, count in enumerate(counts):
        value = count - counts[n - 2] if n > 2 else count
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != -1 if bits & 16 else value != 0
            out += chr((bits | 32 if more else bits) + 48)
    return out


@pytest.mark.parametrize(
    ("mask", "size"),
    [({"counts": [1]}, 1), ({"size": [4, 3], "counts": [1, 2]}, 1), ({"size": [4, 3], "counts": "~"}, 1)],
)
def test_a_mask_that_fills_no_picture_is_refused(mask: dict[str, Any], size: int) -> None:
    with pytest.raises(UserError, match=r"x: runs that do not fill a picture"):
        rle.enclosing(mask, "x")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"bbox": [1, 2, 3]}, r"annotations\[0\]\.bbox: \[1, 2, 3\]; expected \[x, y, width, height\]"),
        ({"bbox": [1, 2, 3, "4"]}, r"annotations\[0\]\.bbox: .*; expected"),
        ({"bbox": [1, 2, 3, float("nan")]}, r"annotations\[0\]\.bbox: .*nan"),
        ({"bbox": None}, r"annotations\[0\]: an object with neither bbox nor segmentation"),
        ({"bbox": None, "segmentation": [[1, 2, 3]]}, r"segmentation: .*; expected \[x1, y1, x2"),
        ({"category_id": 9}, r"annotations\[0\]: no category has the id 9"),
    ],
)
def test_a_malformed_object_is_named(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    changed(tmp_path, flat(tmp_path), **more)
    with pytest.raises(UserError, match=message):
        reader(tmp_path).scan()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("images", [1], r"images\[0\]: 1 is no record"),
        ("images", [{"id": 1}], r"images\[0\]: a picture without a file_name"),
        ("images", [{"id": 0, "file_name": "0.png"}] * 2, r"images\[1\]: the id 0 is there twice"),
        (
            "images",
            [{"id": 0, "file_name": "other.png"}],
            r"annotations\.json: labels of COCO, and no picture that they name is there",
        ),
        ("categories", [{"id": 1}], r"categories\[0\]: a category without a name"),
    ],
)
def test_a_malformed_list_is_named(tmp_path: Path, key: str, value: list[Any], message: str) -> None:
    table = flat(tmp_path)
    table[key] = value
    written(tmp_path / "annotations.json", table)
    with pytest.raises(UserError, match=message):
        reader(tmp_path).scan()


def test_a_picture_of_another_size_than_was_labelled_is_refused(tmp_path: Path) -> None:
    flat(tmp_path)
    scene(tmp_path / "images" / "3.png", size=(96, 64))
    with pytest.raises(
        UserError, match=r"images\[3\]: says that 3\.png has 192 x 128 pixels, and it has 96 x 64; its b"
    ):
        reader(tmp_path).scan()


def test_classes_are_told_apart_by_name_also_where_files_number_them_differently(tmp_path: Path) -> None:
    for split, names in (("train", ("airplane", "ship")), ("valid", ("ship", "airplane"))):
        for n in range(3):
            scene(tmp_path / split / f"{split}{n}.png")
        coco(tmp_path / split / "_annotations.coco.json", {f"{split}{n}.png": BOXES for n in range(3)}, names=names)
    with pytest.raises(
        UserError, match=r"several classes: airplane \(6\), ship \(6\); name .*datasets\.mine\.classes=air"
    ):
        reader(tmp_path).scan()
    with pytest.raises(UserError, match=r"no box has the class 1; the boxes are of airplane"):
        reader(tmp_path, ("1",)).scan()
    listing = reader(tmp_path, ("Airplane",)).scan()
    assert {path.split("/")[0] for path, count in listing.boxes_of.items() if count} == {"train"}
    assert "6 boxes of classes that are no planes (ship), counted as background" in listing.warnings


def test_other_objects_and_crowds_are_counted(tmp_path: Path) -> None:
    table = flat(tmp_path)
    table["annotations"].append({"image_id": 77, "category_id": 1, "bbox": [0, 0, 5, 5]})
    changed(tmp_path, table, iscrowd=1, segmentation={"size": [1, 1], "counts": [1]})
    warnings = reader(tmp_path).scan().warnings
    assert "1 object of pictures that their file does not list, left out" in warnings
    assert "1 region of many objects (iscrowd), taken as a box each" in warnings


def test_of_two_formats_the_one_that_labels_more_pictures_is_read_and_the_other_named(tmp_path: Path) -> None:
    flat(tmp_path)
    for n in range(5):
        (tmp_path / "images" / f"{n}.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    listing = reader(tmp_path).scan()
    assert set(listing.boxes_of.values()) == {2}
    reason = "label files of YOLO, left out since COCO labels as many pictures or more"
    assert listing.account.left_out == {reason: tuple(f"images/{n}.txt" for n in range(5))}
    (tmp_path / "images" / "5.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    listing = reader(tmp_path).scan()
    assert set(listing.boxes_of.values()) == {1}
    reason = "label files of COCO, left out since YOLO labels as many pictures or more"
    assert listing.account.left_out == {reason: ("annotations.json",)}


def test_ids_and_sizes_are_the_same_as_whole_numbers_with_a_point_and_as_texts(tmp_path: Path) -> None:
    table = flat(tmp_path)
    table["images"][0] |= {"width": str(table["images"][0]["width"]), "height": float(table["images"][0]["height"])}
    for what in table["annotations"]:
        what |= {"image_id": float(what["image_id"]), "category_id": str(what["category_id"])}
    written(tmp_path / "annotations.json", table)
    assert reader(tmp_path).scan().boxes_of == {f"images/{n}.png": 2 for n in range(6)}


def test_an_id_of_two_classes_is_refused(tmp_path: Path) -> None:
    table = flat(tmp_path)
    table["categories"].append(table["categories"][0] | {"name": "tower"})
    written(tmp_path / "annotations.json", table)
    with pytest.raises(UserError, match=r"categories\[\d\]: the id 1 stands for airplane and for tower"):
        reader(tmp_path).scan()


def test_a_mask_of_another_size_than_its_picture_is_refused(tmp_path: Path) -> None:
    table = flat(tmp_path)
    changed(tmp_path, table, bbox=[], segmentation={"size": [4, 4], "counts": [4, 4, 8]})
    with pytest.raises(UserError, match=r"annotations\[0\].segmentation: says that 0.png has 4 x 4 pixels, and it has"):
        reader(tmp_path).scan()


def test_runs_whose_sum_wraps_around_are_refused() -> None:
    with pytest.raises(UserError, match="runs that do not fill a picture"):
        rle.enclosing({"size": [48, 64], "counts": [2**62, 2**62, 2**62, 2**62, 48 * 64]}, "here")


def test_a_label_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    flat(tmp_path)
    whole = (tmp_path / "annotations.json").read_bytes()
    (tmp_path / "annotations.json").write_bytes(whole[:-9])
    with pytest.raises(UserError, match=r"annotations.json looks like a label file of COCO and cannot be read as JSON"):
        reader(tmp_path).scan()
