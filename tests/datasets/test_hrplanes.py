"""HRPlanes: tiles with and without planes, boxes and masks, lists whose paths do not exist, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.datasets import tiles, yolo
from raytune_planes.datasets.base import SPLITS, Listing
from raytune_planes.datasets.cache import decode
from raytune_planes.datasets.hrplanes import HRPlanes, Scene, write
from raytune_planes.datasets.options import Options
from raytune_planes.errors import UserError


def reader(root: Path, *, tile: int = 64, image_size: int = 32, seed: int = 0) -> HRPlanes:
    return HRPlanes(root, name="hrplanes", image_size=image_size, tile=tile, seed=seed)


def scenes(count: int = 6) -> list[Scene]:
    """Scenes of 192 x 128 pixels: a white box in the first and the second of six tiles, on black."""
    made = []
    for n in range(count):
        boxes = ((8.0, 16.0, 40.0, 48.0), (64.0 + 4 * n, 4.0, 84.0 + 4 * n, 24.0))
        pixels = np.zeros((128, 192, 3), np.uint8)
        for left, top, right, bottom in boxes:
            pixels[int(top) : int(bottom), int(left) : int(right)] = 255
        split = "val" if n == 0 else "test" if n == 1 else "train"
        made.append(Scene(f"GBG_{n} (2)", pixels, boxes, split))
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, scenes())
    return tmp_path


def of_scene(listing: Listing, name: str) -> list[tuple[int, tuple[int, int, int, int] | None]]:
    return [(s.label, s.window) for s in listing.samples if s.path.stem == name]


def test_what_is_written_is_read_back(root: Path) -> None:
    listing = reader(root, tile=192, image_size=128).scan()
    assert listing.info.classes == ("background", "plane")
    assert listing.info.has_masks
    assert not listing.warnings[:-3], listing.warnings
    for scene in scenes():
        found = {
            b for s in listing.samples if s.path.stem == scene.name and s.window == (0, 0, 128, 128) for b in s.boxes
        }
        assert np.allclose(sorted(found), sorted(scene.boxes), atol=1e-3)
        assert {s for s in SPLITS for i in listing.splits[s] if listing.samples[i].path.stem == scene.name} == {
            scene.split
        }


def test_image_and_mask_of_a_tile_fit_each_other(root: Path) -> None:
    read = reader(root)
    for sample in read.scan().samples:
        image_HWC, mask_HW = read.load(sample)
        assert image_HWC.shape == (32, 32, 3)
        assert mask_HW.shape == (32, 32)
        assert mask_HW.dtype == np.uint8
        assert bool(mask_HW.any()) == bool(sample.label)
        white_HW = image_HWC.mean(-1) > 128
        assert (white_HW != mask_HW).mean() < 0.02


def test_the_boxes_of_a_decoded_tile_hold_its_mask_and_no_more(root: Path, tmp_path: Path) -> None:
    arrays = decode(reader(root), tmp_path / "cache")
    assert arrays.info.has_boxes
    assert arrays.boxes_NM4 is not None
    assert arrays.masks_NHW is not None
    for boxes_M4, mask_HW, label in zip(arrays.boxes_NM4, arrays.masks_NHW, arrays.labels_N, strict=True):
        present = tuple(map(tuple, boxes_M4[boxes_M4[:, 2] > 0].tolist()))
        assert bool(present) == bool(label)
        np.testing.assert_array_equal(tiles.mask(present, 1, 1, 32), mask_HW)


def test_a_split_has_no_more_empty_tiles_than_tiles_with_planes(root: Path) -> None:
    listing = reader(root).scan()
    for split in SPLITS:
        labels = [listing.samples[i].label for i in listing.splits[split]]
        assert labels.count(0) == labels.count(1) > 0
    assert listing == reader(root).scan()
    assert listing.samples != reader(root, seed=1).scan().samples


def test_lists_name_pictures_by_file_name_and_may_be_called_val(root: Path) -> None:
    (root / "validation.txt").rename(root / "val.txt")
    listing = reader(root).scan()
    assert {listing.samples[i].group for i in listing.splits["val"]} == {"img/GBG_0 (2).jpg"}
    assert listing.warnings == ()


def test_without_lists_the_scenes_are_split(root: Path) -> None:
    for name in ("train", "validation", "test"):
        (root / f"{name}.txt").unlink()
    listing = reader(root).scan()
    groups = [{listing.samples[i].group for i in listing.splits[split]} for split in SPLITS]
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups)) == 6
    assert "scenes were split 80/10/10" in listing.warnings[0]


def test_a_missing_list_is_taken_from_train_and_that_of_train_must_be_there(root: Path) -> None:
    (root / "validation.txt").unlink()
    listing = reader(root).scan()
    assert "no folder or list of val; taken from train, whole groups" in listing.warnings
    groups = {split: {listing.samples[i].group for i in listing.splits[split]} for split in SPLITS}
    assert groups["test"] == {"img/GBG_1 (2).jpg"}
    assert groups["train"] | groups["val"] == {f"img/GBG_{n} (2).jpg" for n in range(2, 6)}
    (root / "train.txt").unlink()
    with pytest.raises(UserError, match=r"holds test\.txt but not train\.txt; add it, or remove the lists"):
        reader(root).scan()


def test_two_scenes_without_lists_are_refused(tmp_path: Path) -> None:
    write(tmp_path, scenes(2))
    for path in tmp_path.glob("*.txt"):
        path.unlink()
    with pytest.raises(UserError, match=r"2 scenes cannot be split"):
        reader(tmp_path).scan()


def test_oddities_of_lists_are_counted(root: Path) -> None:
    with (root / "train.txt").open("a") as file:
        file.write("data\\plane\\gone (1).jpg\n\ndata/plane/img/GBG_1 (2).jpg\n")
    (root / "img" / "extra.jpg").write_bytes((root / "img" / "GBG_1 (2).jpg").read_bytes())
    listing = reader(root).scan()
    text = "\n".join(listing.warnings)
    assert "1 listed picture not there: data\\plane\\gone (1).jpg" in text
    assert "1 picture in two lists, taken as the later says: GBG_1 (2).jpg" in text
    assert "1 picture in no list, left out: img/extra.jpg" in text
    assert "1 picture without a label file, counted as empty: extra.jpg" in text
    assert "img/GBG_1 (2).jpg" in {listing.samples[i].group for i in listing.splits["test"]}


def test_a_list_of_strangers_is_refused(root: Path) -> None:
    (root / "test.txt").write_text("data/x.jpg\n")
    with pytest.raises(UserError, match=r"test\.txt names no picture that is there; it lists data/x\.jpg"):
        reader(root).scan()


def test_a_name_that_fits_two_pictures_is_told_apart_by_its_folder(root: Path) -> None:
    (root / "b").mkdir()
    for suffix in ("jpg", "txt"):
        name = f"GBG_1 (2).{suffix}"
        (root / "b" / name).write_bytes((root / "img" / name).read_bytes())
    listing = reader(root).scan()
    assert {listing.samples[i].group for i in listing.splits["test"]} == {"img/GBG_1 (2).jpg"}
    (root / "test.txt").write_text("GBG_1 (2).jpg\n")
    with pytest.raises(UserError, match=r"test\.txt:1: 'GBG_1 \(2\)\.jpg' fits several pictures: .*keep one"):
        reader(root).scan()


@pytest.mark.parametrize("folder", ["labels", "img/labels"])
def test_labels_may_lie_in_a_folder_of_their_own(root: Path, folder: str) -> None:
    before = reader(root).scan()
    (root / folder).mkdir(parents=True)
    for path in (root / "img").glob("*.txt"):
        path.rename(root / folder / path.name)
    assert reader(root).scan() == before


def test_labels_of_yolo_folders_by_split_are_found(tmp_path: Path) -> None:
    for part in ("images/train", "labels/train"):
        (tmp_path / part).mkdir(parents=True)
    (tmp_path / "labels/train/a.txt").touch()
    pictures = [tmp_path / "images/train/a.jpg", tmp_path / "images/train/b.jpg"]
    assert yolo.label_files(pictures, tmp_path) == {pictures[0]: tmp_path / "labels/train/a.txt"}


@pytest.mark.parametrize("content", ["", "\n  \n\n", None])
def test_missing_empty_and_blank_label_files_mean_no_boxes(root: Path, content: str | None) -> None:
    path = root / "img" / "GBG_2 (2).txt"
    path.unlink()
    if content is not None:
        path.write_text(content)
    listing = reader(root).scan()
    assert {label for label, _ in of_scene(listing, "GBG_2 (2)")} <= {0}
    missing = [text for text in listing.warnings if "without a label file" in text]
    assert len(missing) == (content is None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.1", "is no box"),
        ("0 0.5 0.5 0.1 0.1 1.9", "is no box"),
        ("0 0.1 0.1 0.3 0.1 0.3 0.3 0.1", "is no box"),
        ("0.5 0.5 0.5 0.1 0.1", "is no box"),
        ("-1 0.5 0.5 0.1 0.1", "is no box"),
        ("0,0.5,0.5,0.2,0.2", "is no box"),
        ("0 0,5 0,5 0,2 0,2", "is no box"),
        ("plane 0.5 0.5 0.1 0.1", "is no box"),
        ("0 0.5 x 0.1 0.1", "is no box"),
        ("0 120 200 40 40", "lies outside of the picture"),
        ("0 nan 0.5 0.1 0.1", "lies outside"),
        ("0 0.5 0.5 -0.1 0.1", "lies outside"),
    ],
)
def test_a_malformed_line_is_an_error_with_file_and_line(root: Path, line: str, message: str) -> None:
    (root / "img" / "GBG_2 (2).txt").write_text(f"0 0.5 0.5 0.1 0.1\n\n{line}\n")
    with pytest.raises(UserError, match=rf"GBG_2 \(2\)\.txt:3: .*{message}.*expected 'class x y width height'"):
        reader(root).scan()


def test_a_label_file_that_is_no_text_is_refused(root: Path) -> None:
    (root / "img" / "GBG_2 (2).txt").write_bytes(b"\xff\xfe0 0.5")
    with pytest.raises(UserError, match=r"GBG_2 \(2\)\.txt is not UTF-8 text"):
        reader(root).scan()


def test_padding_tabs_and_windows_line_ends_are_read_and_boxes_clipped(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf 0   0.05\t0.5 0.2   0.1  \r\n\r\n0 0.5 0.5 0 0.1\r\n3 0.98 1.0 0.1 0.1")
    labels = yolo.read_boxes(path, 100, 200)
    assert np.allclose(labels.boxes, [(0, 90, 15, 110), (93, 190, 100, 200)])
    assert (labels.kinds, labels.odd) == (("0", "3"), {"boxes without an area, left out": 1})


@pytest.mark.parametrize(
    ("line", "box", "odd"),
    [
        ("0 0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3", (10, 20, 30, 60), "outlines taken as their enclosing boxes"),
        ("0 0.1 0.2 0.3 0.1 0.4 0.3 0.2 0.4", (10, 20, 40, 80), "outlines taken as their enclosing boxes"),
        ("0 0.2 0.1 0.9 0.5 0.4 0.6", (20, 20, 90, 120), "outlines taken as their enclosing boxes"),
        ("0 0.5 0.5 0.2 0.2 0.93", (40, 80, 60, 120), "confidences behind boxes, ignored"),
        ("0 0.1 0.2 0.3 0.1 0.4 0.3 0.2 0.4 0.9", (10, 20, 40, 80), "outlines taken as their enclosing boxes"),
        ("0.0 0.5 0.5 0.2 0.2", (40, 80, 60, 120), ""),
        ("0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2", (40, 80, 60, 120), "boxes present twice, taken once"),
    ],
)
def test_lines_that_exporters_write_are_read(
    tmp_path: Path, line: str, box: tuple[float, float, float, float], odd: str
) -> None:
    (tmp_path / "a.txt").write_text(line)
    labels = yolo.read_boxes(tmp_path / "a.txt", 100, 200)
    assert np.allclose(labels.boxes, [box])
    assert (labels.kinds, labels.odd) == (("0",), {odd: 1} if odd else {})


def test_oddities_of_labels_are_counted_over_the_dataset(root: Path) -> None:
    for n in (2, 3):
        with (root / "img" / f"GBG_{n} (2).txt").open("a") as file:
            file.write("0 0.9 0.9 0.05 0.05 0.5\n0 0.1 0.8 0.2 0.8 0.2 0.9\n")
    warnings = reader(root).scan().warnings
    assert "2 confidences behind boxes, ignored" in warnings
    assert "2 outlines taken as their enclosing boxes" in warnings


def test_of_several_class_ids_a_setting_says_which_are_planes(root: Path) -> None:
    with (root / "img" / "GBG_2 (2).txt").open("a") as file:
        file.write("1 0.9 0.9 0.05 0.05\n")
    with pytest.raises(UserError, match=r"several classes: 0 \(12\), 1 \(1\); name .*datasets\.hrplanes\.classes=0"):
        reader(root).scan()
    (root / "data.yaml").write_text("names: [airplane, ship]\n")
    with pytest.raises(UserError, match=r"several classes: 0 airplane \(12\), 1 ship \(1\)"):
        reader(root).scan()
    planes = HRPlanes(root, name="hrplanes", image_size=32, tile=64, options=Options(classes=("0",))).scan()
    assert planes.boxes_of["img/GBG_2 (2).jpg"] == 2
    assert "1 box of classes that are no planes (1 ship), counted as background" in planes.warnings
    ships = HRPlanes(
        root, name="hrplanes", image_size=32, tile=64, options=Options(classes=("airplane", "Ship"))
    ).scan()
    assert ships.boxes_of["img/GBG_2 (2).jpg"] == 3
    with pytest.raises(UserError, match=r"datasets\.hrplanes\.classes: no box has the class 7; the boxes are of 0"):
        HRPlanes(root, name="hrplanes", image_size=32, tile=64, options=Options(classes=("7",))).scan()


def test_another_class_id_than_0_is_told_where_it_is_the_only_one(root: Path) -> None:
    for path in (root / "img").glob("*.txt"):
        path.write_text("".join(f"4{line[1:]}\n" for line in path.read_text().splitlines()))
    listing = reader(root).scan()
    assert listing.boxes_of["img/GBG_2 (2).jpg"] == 2
    assert "12 boxes of class 4, the only one, counted as planes" in listing.warnings


def test_the_setting_of_class_ids_reaches_the_reader(root: Path) -> None:
    from raytune_planes.config import Dataset
    from raytune_planes.datasets import reader as built

    assert built("hrplanes", Dataset(root=str(root), classes="0, 3"), None).options.classes == ("0", "3")


def test_a_folder_without_pictures_or_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no pictures"):
        reader(tmp_path).scan()
    Image.new("RGB", (64, 64)).save(tmp_path / "a.jpg")
    with pytest.raises(UserError, match=r"holds 1 picture and no label file"):
        reader(tmp_path).scan()
    with pytest.raises(UserError, match=r"no folder .*none(.|\n)*datasets\.hrplanes\.enabled=false"):
        reader(tmp_path / "none").scan()


def test_a_truncated_scene_is_an_error_that_names_its_file(root: Path) -> None:
    path = root / "img" / "GBG_2 (2).jpg"
    path.write_bytes(path.read_bytes()[:-300])
    read = reader(root)
    sample = next(s for s in read.scan().samples if s.path == path)
    with pytest.raises(UserError, match=r"GBG_2 \(2\)\.jpg cannot be decoded"):
        read.load(sample)


def test_a_picture_linked_from_outside_is_refused(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "a.jpg"
    Image.new("RGB", (64, 64)).save(outside)
    os.symlink(outside, root / "img" / "a.jpg")
    with pytest.raises(UserError, match=r"a\.jpg leads outside of"):
        reader(root).scan()


def test_a_split_without_one_class_is_told(tmp_path: Path) -> None:
    bare = [Scene(s.name, s.image_HWC, () if s.split == "val" else s.boxes, s.split) for s in scenes()]
    write(tmp_path, bare)
    listing = reader(tmp_path).scan()
    assert listing.warnings == ("val has no tile of class 'plane' at a tile of 64 pixels",)


def test_a_sliver_of_a_plane_makes_neither_a_plane_tile_nor_an_empty_one(tmp_path: Path) -> None:
    pixels = np.zeros((64, 128, 3), np.uint8)
    box = (50.0, 20.0, 66.0, 30.0)  # 2 of its 16 columns lie in the second tile
    write(tmp_path, [Scene(f"s{n}", pixels, (box,), split) for n, split in enumerate(SPLITS)])
    assert of_scene(reader(tmp_path).scan(), "s0") == [(1, (0, 0, 64, 64))]


def test_the_real_scenes(real: Path) -> None:
    read = reader(real / "hrplanes", tile=320, image_size=64)
    listing = read.scan()
    assert len({sample.group for sample in listing.samples}) == 40
    assert [len({listing.samples[i].group for i in listing.splits[split]}) for split in SPLITS] == [28, 6, 6]
    assert listing.warnings == ()
    for split in SPLITS:
        labels = [listing.samples[i].label for i in listing.splits[split]]
        assert labels.count(0) == labels.count(1) > 100
    sample = next(sample for sample in listing.samples if sample.label)
    image_HWC, mask_HW = read.load(sample)
    assert image_HWC.std() > 5
    assert 0 < mask_HW.mean() < 0.9
