"""Contact sheets show examples of the right classes, masks where there are, and pairs that look wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.commands import data_pictures
from raytune_planes.config import Dataset
from raytune_planes.datasets import reader
from raytune_planes.datasets.hygiene import examine
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.report.data import COLUMNS, Sheet, SheetPicture, SheetRow
from raytune_planes.report.drawing import data as drawing
from raytune_planes.settings import make_config
from tests.datasets.hygiene.test_copies import smooth

SIZES = {"airliner": 14, "biplane": 12, "cargo": 11, "drone": 9, "fighter": 9, "glider": 8, "helicopter": 5}


def sheet(root: Path) -> Sheet:
    mine = reader("mine", Dataset(reader="image_folder", root=str(root), image_size=32), None, 0)
    return data_pictures.sheet(mine, examine(mine))


def row(of: Sheet, start: str) -> SheetRow:
    (found,) = (each for each in of.rows if each.what.startswith(start))
    return found


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for label, (name, count) in enumerate(SIZES.items()):
        (tmp_path / name).mkdir()
        for n in range(count):
            smooth(50 * label + n).save(tmp_path / name / f"{n:02d}.png")
    return tmp_path


def test_the_most_and_the_least_frequent_classes_are_shown_with_their_numbers(pictures: Path) -> None:
    shown = sheet(pictures).rows
    names = [each.what.split("\n")[0] for each in shown]
    assert names == ["airliner", "biplane", "cargo", "fighter", "glider", "helicopter"], "one of seven is left out"
    assert shown[0].what == "airliner\n14 samples"
    assert [len(each.pictures) for each in shown] == [*[COLUMNS] * 5, 5]
    assert not any(each.suspicious for each in shown)
    assert {p.image_HWC.shape for each in shown for p in each.pictures} == {(32, 32, 3)}, "as training sees them"


def test_examples_are_spread_over_the_class_and_none_is_shown_twice(pictures: Path) -> None:
    shown = [p.image_HWC.tobytes() for p in sheet(pictures).rows[0].pictures]
    assert len(set(shown)) == COLUMNS
    ends = [np.asarray(smooth(n).resize((32, 32), Image.Resampling.BILINEAR)).tobytes() for n in (0, 13)]
    assert [shown[0], shown[-1]] == ends


def test_one_picture_with_two_labels_is_shown_as_a_suspicious_pair(pictures: Path) -> None:
    smooth(3).save(pictures / "glider" / "same.png")
    wrong = row(sheet(pictures), "identical, several labels")
    assert wrong.suspicious
    assert wrong.what.endswith("\n1 found")
    assert [p.about for p in wrong.pictures] == ["airliner", "glider"]
    assert np.array_equal(wrong.pictures[0].image_HWC, wrong.pictures[1].image_HWC)


def test_a_picture_that_cannot_be_decoded_is_left_out(pictures: Path) -> None:
    (pictures / "helicopter" / "00.png").write_bytes(b"no picture")
    assert len(row(sheet(pictures), "helicopter").pictures) == 4


def test_a_folder_without_a_readable_picture_has_an_empty_sheet(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for n in range(8):
            (tmp_path / name / f"{n}.png").write_bytes(b"no picture")
    assert sheet(tmp_path) == Sheet(())


def test_tiles_are_shown_with_their_masks(tmp_path: Path) -> None:
    synthesise(tmp_path, planesnet=0, hrplanes=4, fgvc=0, fgvc_classes=2, seed=0, scene_side=900)
    settings = make_config({}).datasets["hrplanes"]
    scenes = reader("hrplanes", settings, tmp_path, 0)
    found = examine(scenes)
    shown = data_pictures.sheet(scenes, found)
    planes, empty = (row(shown, f"{name}\n") for name in (found.listing.info.classes[k] for k in (1, 0)))
    assert all(p.mask_HW is not None and p.mask_HW.any() for p in planes.pictures)
    assert not any(p.mask_HW is None or p.mask_HW.any() for p in empty.pictures)


def test_masks_are_outlined_and_suspicious_pictures_framed() -> None:
    image, mask = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)
    mask[4:9, 5:12] = 1
    plain = SheetRow("plane", (SheetPicture(image, mask), SheetPicture(image, mask * 0), SheetPicture(image)))
    figure = drawing.sheet(Sheet((plain, SheetRow("twice", (SheetPicture(image),) * 2, suspicious=True))))
    above, below = np.array(figure.axes).reshape(2, COLUMNS)
    assert [bool(axes.collections) for axes in above[:3]] == [True, False, False]
    (path,) = above[0].collections[-1].get_paths()
    assert path.get_extents().bounds == (4.5, 3.5, 7, 5), "left, top, width, height"
    framed = [[axes.spines["top"].get_visible() for axes in line] for line in (above, below)]
    assert [sum(line) for line in framed] == [0, 2]
