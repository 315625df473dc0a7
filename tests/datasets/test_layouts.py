"""A wrong layout is answered by what was recognised: another format, or an archive unpacked a level too deep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytune_planes.config import Dataset
from raytune_planes.datasets import reader
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.errors import UserError
from tests.datasets.label_formats.exports import BOXES, coco, scene, yolo
from tests.datasets.test_image_folder import classes, picture


def refusal(root: Path, kind: str = "image_folder") -> str:
    with pytest.raises(UserError) as told:
        reader("mine", Dataset(reader=kind, root=str(root)), None).scan()
    return str(told.value)


ADVICE = "set datasets.mine.reader=hrplanes, which reads scenes with boxes; if the boxes have several classes"


@pytest.mark.parametrize("kind", ["image_folder", "planesnet", "fgvc"])
def test_a_coco_export_is_recognised_by_every_other_reader(kind: str, tmp_path: Path) -> None:
    for n in range(4):
        scene(tmp_path / "train" / f"{n}.jpg")
    about = tmp_path / "train" / "_annotations.coco.json"
    coco(about, {f"{n}.jpg": BOXES for n in range(4)})
    assert f"{about} shows that this is an export as COCO: {ADVICE}" in refusal(tmp_path, kind)
    assert (
        len(
            {
                sample.path
                for sample in reader("mine", Dataset(reader="hrplanes", root=str(tmp_path)), None).scan().samples
            }
        )
        == 4
    )


def test_flat_splits_of_a_coco_export_are_no_classes(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        for n in range(4):
            picture(tmp_path / split / f"{n}.jpg")
        coco(tmp_path / split / "_annotations.coco.json", {})
    said = refusal(tmp_path)
    assert f"{tmp_path} holds the splits test, train, valid and no folders of classes inside\n" in said
    assert "test/_annotations.coco.json shows that this is an export as COCO" in said


def test_the_folders_of_coco_are_splits_and_no_classes(tmp_path: Path) -> None:
    for split in ("train2017", "val2017", "test2017"):
        for n in range(4):
            scene(tmp_path / split / f"{split}{n}.jpg")
        coco(tmp_path / "annotations" / f"instances_{split}.json", {f"{split}{n}.jpg": BOXES for n in range(4)})
    said = refusal(tmp_path)
    assert f"{tmp_path} holds the splits test2017, train2017, val2017 and no folders of classes inside\n" in said
    assert f"annotations/instances_test2017.json shows that this is an export as COCO: {ADVICE}" in said


@pytest.mark.parametrize("names", [("Train", "val"), ("sample", "test", "training"), ("train_2019", "val_2019")])
def test_flat_splits_are_no_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    said = refusal(classes(tmp_path, 4, names))
    assert f"holds the splits {', '.join(names)} and no folders of classes inside" in said


def test_a_class_that_is_called_as_one_split_stays_a_class(tmp_path: Path) -> None:
    listing = reader(
        "mine", Dataset(reader="image_folder", root=str(classes(tmp_path, 10, ("bus", "train")))), None
    ).scan()
    assert listing.info.classes == ("bus", "train")


def test_other_json_is_no_coco_export(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "0.jpg")
    for name, content in (("a.json", "[1]"), ("b.json", "{"), ("c.json", json.dumps({"images": []}))):
        (tmp_path / "train" / name).write_text(content)
    assert "COCO" not in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "line", "form"),
    [
        ("Annotations/0.xml", "<annotation><object><name>plane</name></object></annotation>", "Pascal VOC"),
        ("labels/0.txt", "0 0.5 0.5 0.2 0.2", "YOLO"),
        ("labels/0.txt", "0 0.1 0.1 0.3 0.1 0.3 0.3", "YOLO"),
        ("labelTxt/0.txt", "imagesource:GoogleEarth", "DOTA"),
        ("labelTxt/0.txt", "8 30 24 16 40 30 24 48 plane 0", "DOTA"),
    ],
)
def test_an_export_is_recognised_where_class_folders_are_expected(
    tmp_path: Path, name: str, line: str, form: str
) -> None:
    picture(tmp_path / "images" / "0.jpg")
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(f"{line}\n")
    assert f"{name} shows that this is an export as {form}: {ADVICE}" in refusal(tmp_path)


def test_label_files_that_no_picture_is_called_like_are_told(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "0.jpg")
    yolo(tmp_path / "text" / "0.txt")
    said = refusal(tmp_path, "hrplanes")
    assert "text/0.txt holds boxes as YOLO has them, and no picture has such a name: a label file has the" in said


def test_the_public_formats_are_recognised_by_other_readers(tmp_path: Path) -> None:
    synthesise(tmp_path, planesnet=24, hrplanes=0, fgvc=12, fgvc_classes=2, seed=0)
    assert "chip of PlanesNet: set datasets.mine.reader=planesnet." in refusal(tmp_path / "planesnet")
    assert "set datasets.mine.reader=fgvc." in refusal(tmp_path / "fgvc-aircraft-2013b", "hrplanes")


@pytest.mark.parametrize("inside", ["archive", "archive/data"])
def test_an_archive_unpacked_too_deep_is_told_with_its_level(tmp_path: Path, inside: str) -> None:
    classes(tmp_path / inside)
    picture(tmp_path / "cover.png")
    said = refusal(tmp_path)
    assert f"All pictures are below {tmp_path / inside} (big_jet/, glider/): if these folders" in said
    assert f"set datasets.mine.root={tmp_path / inside}.\n" in said
    assert len(reader("mine", Dataset(reader="image_folder", root=str(tmp_path / inside)), None).scan().samples) == 20


def test_splits_a_level_too_deep_are_told_with_their_folder(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        classes(tmp_path / "archive" / split, 4)
    assert f"below {tmp_path / 'archive'} (test/, train/, val/): if" in refusal(tmp_path)


def test_a_single_class_is_not_taken_for_an_archive(tmp_path: Path) -> None:
    said = refusal(classes(tmp_path, 4, ("only",)))
    assert "too deep" not in said


def test_a_split_inside_a_folder_of_its_own_name_is_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        classes(tmp_path / split / split, 6)
    said = refusal(tmp_path)
    assert f"{tmp_path / 'test'} holds nothing but {tmp_path / 'test' / 'test'}: an archive was unpacked" in said


def test_a_class_that_has_the_name_of_its_split_stays_a_class(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        classes(tmp_path / split, 4, ("test", "train"))
    assert reader("mine", Dataset(reader="image_folder", root=str(tmp_path)), None).scan().info.classes == (
        "test",
        "train",
    )
