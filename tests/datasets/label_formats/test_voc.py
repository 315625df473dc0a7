"""Pascal VOC: boxes of XML files that count from 1, lists without suffixes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.datasets.base import SPLITS
from raytune_planes.errors import UserError
from tests.datasets.label_formats.exports import BOXES, scene, voc
from tests.datasets.label_formats.test_coco import boxes, reader


def folder(root: Path, count: int = 6) -> Path:
    for n in range(count):
        scene(root / "JPEGImages" / f"00{n}.png")
        voc(root / "Annotations" / f"00{n}.xml")
    return root


def test_boxes_count_pixels_from_1_and_are_read_from_0(tmp_path: Path) -> None:
    listing = reader(folder(tmp_path)).scan()
    assert boxes(listing, "003.png") == set(BOXES)
    assert listing.account.left_out == {}


def test_lists_of_names_without_suffix_give_the_splits(tmp_path: Path) -> None:
    lists = folder(tmp_path) / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("000\n001\n002\n003\n")
    (lists / "val.txt").write_text("004\n005\n")
    (lists / "airplane_train.txt").write_text("000  1\n001 -1\n")
    (lists.parent / "Layout").mkdir()
    (lists.parent / "Layout" / "train.txt").write_text("000  1\n")
    listing = reader(tmp_path).scan()
    names = {split: {listing.samples[i].path.stem for i in listing.splits[split]} for split in SPLITS}
    assert names["val"] == {"004", "005"}
    assert names["train"] | names["test"] == {"000", "001", "002", "003"}
    assert names["train"].isdisjoint(names["test"])
    assert "no folder or list of test; taken from train, whole groups" in listing.warnings
    unused = ("ImageSets/Layout/train.txt", "ImageSets/Main/airplane_train.txt")
    assert listing.account.left_out == {"files that this reader does not use": unused}


def test_lists_whose_suffixes_differ_in_case_fit(tmp_path: Path) -> None:
    folder(tmp_path)
    for name, numbers in (("train", range(4)), ("validation", (4,)), ("test", (5,))):
        (tmp_path / f"{name}.txt").write_text("".join(f"data/00{n}.PNG\n" for n in numbers))
    listing = reader(tmp_path).scan()
    assert {listing.samples[i].path.stem for i in listing.splits["test"]} == {"005"}
    assert not any("are not there" in warning for warning in listing.warnings)


def test_the_folders_of_an_export_give_the_splits(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        scene(tmp_path / split / "a.png")
        voc(tmp_path / split / "a.xml", BOXES[:1])
    listing = reader(tmp_path).scan()
    assert set(listing.boxes_of.values()) == {1}
    assert {listing.samples[i].path.parent.name for i in listing.splits["val"]} == {"valid"}


def test_turned_boxes_and_outlines_are_taken_as_their_enclosing_boxes(tmp_path: Path) -> None:
    folder(tmp_path)
    turned = "<robndbox><cx>50</cx><cy>60</cy><w>20</w><h>10</h><angle>1.5707963267948966</angle></robndbox>"
    outline = "<polygon><x1>8</x1><y1>16</y1><x2>40</x2><y2>20</y2><x3>30</x3><y3>48</y3></polygon>"
    objects = "".join(f"<object><name>airplane</name>{shape}</object>" for shape in (turned, outline))
    (tmp_path / "Annotations" / "000.xml").write_text(f"<annotation>{objects}</annotation>")
    listing = reader(tmp_path).scan()
    assert {tuple(map(round, box)) for box in boxes(listing, "000.png")} == {(45, 50, 55, 70), (8, 16, 40, 48)}
    assert "2 outlines taken as their enclosing boxes" in listing.warnings


def test_a_picture_without_a_file_is_left_out_and_a_file_without_a_picture_is_told(tmp_path: Path) -> None:
    folder(tmp_path)
    scene(tmp_path / "JPEGImages" / "more.png")
    voc(tmp_path / "Annotations" / "gone.xml")
    listing = reader(tmp_path).scan()
    reason = "pictures in no label file of Pascal VOC, left out"
    assert listing.account.left_out == {reason: ("JPEGImages/more.png",)}
    assert any("1 label file of no picture that is there: " in warning for warning in listing.warnings)


def test_masks_of_the_same_names_are_no_scenes(tmp_path: Path) -> None:
    folder(tmp_path)
    for n in range(6):
        scene(tmp_path / "SegmentationClass" / f"00{n}.gif")
        path = tmp_path / "Annotations" / f"00{n}.xml"
        path.write_text(path.read_text().replace("old name.jpg", f"00{n}.png"))
    listing = reader(tmp_path).scan()
    assert set(listing.boxes_of) == {f"JPEGImages/00{n}.png" for n in range(6)}
    reason = "pictures in no label file of Pascal VOC, left out"
    assert listing.account.left_out == {reason: tuple(f"SegmentationClass/00{n}.gif" for n in range(6))}


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><annotation><object><name>&b;</name></object></annotation>'
)
FILE = (
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><annotation><object><name>&a;</name></object></annotation>'
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"000\.xml is not read as XML: it declares a document type"),
        (FILE, r"000\.xml is not read as XML: it declares a document type"),
        ("<annotation><object>", r"000\.xml is not read as XML: no element found"),
        ("<annotation><object/></annotation>", r"000\.xml: an object without a name"),
        ("<annotation><object><name>a</name></object></annotation>", r"000\.xml: a has no bndbox with xmin"),
        (
            "<annotation><object><name>a</name><bndbox><xmin>x</xmin></bndbox></object></annotation>",
            r"000\.xml: a: xmin is 'x', and no number",
        ),
        (
            "<annotation><size><width>9</width><height>0</height></size></annotation>",
            r"000\.xml: says that 000\.png has 9.* x 128 pixels, and it has 192 x 128",
        ),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    folder(tmp_path)
    (tmp_path / "Annotations" / "000.xml").write_text(text)
    with pytest.raises(UserError, match=message):
        reader(tmp_path).scan()


def test_two_files_of_one_picture_and_files_of_none_are_refused(tmp_path: Path) -> None:
    voc(folder(tmp_path) / "JPEGImages" / "000.xml")
    with pytest.raises(UserError, match=r"000\.png has a second label file, .*000\.xml; remove one"):
        reader(tmp_path).scan()
    for path in (tmp_path / "JPEGImages").iterdir():
        path.rename(path.with_stem(f"x{path.stem}"))
    for path in (tmp_path / "JPEGImages").glob("*.xml"):
        path.unlink()
    with pytest.raises(UserError, match=r"000\.xml.*: labels of Pascal VOC, and no picture that they name is there"):
        reader(tmp_path).scan()
