"""FGVC-Aircraft: official splits, the tree of classes, header lines, banners, and messages with file and line."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from raytune_planes.datasets import fgvc_labels
from raytune_planes.datasets.base import SPLITS, Listing
from raytune_planes.datasets.fgvc import BANNER, FGVCAircraft, Photo, Variant, write
from raytune_planes.errors import UserError
from tests.conftest import ARCHIVES

TREE = (
    Variant("F-16A/B", "F-16", "Lockheed Martin"),
    Variant("Cessna 172", "Cessna 172", "Cessna"),
    Variant("737-200", "Boeing 737", "Boeing"),
    Variant("737-300", "Boeing 737", "Boeing"),
)


def reader(root: Path, image_size: int = 48) -> FGVCAircraft:
    return FGVCAircraft(root, name="fgvc", image_size=image_size, tile=320)


def photos() -> list[Photo]:
    """Two of every variant and split, 48 x 48 pixels, each of one colour."""
    made = []
    for split in SPLITS:
        for variant in TREE:
            for _ in range(2):
                pixels = np.full((48, 48, 3), 10 * len(made), np.uint8)
                made.append(Photo(f"{1025794 + len(made)}", pixels, variant.name, split, (3.0, 0.0, 40.0, 30.0)))
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, photos(), TREE)
    return tmp_path


def facts(listing: Listing) -> set[tuple[str, str, str]]:
    return {
        (listing.samples[i].path.stem, listing.info.classes[listing.samples[i].label], split)
        for split in SPLITS
        for i in listing.splits[split]
    }


def test_what_is_written_is_read_back(root: Path) -> None:
    listing = reader(root).scan()
    assert listing.info.classes == tuple(variant.name for variant in TREE)
    assert facts(listing) == {(photo.id, photo.variant, photo.split) for photo in photos()}
    assert {sample.boxes for sample in listing.samples} == {((3.0, 0.0, 40.0, 30.0),)}
    assert listing.info.top_k == 5
    assert listing.warnings == ()
    read = reader(root)
    for sample, photo in zip(listing.samples, photos(), strict=True):
        image_HWC, mask = read.load(sample)
        assert mask is None
        assert image_HWC.shape == (48, 48, 3)
        assert np.abs(image_HWC.astype(int) - photo.image_HWC).max() <= 12, "the banner is cut off"


def test_a_class_knows_its_family_and_manufacturer(root: Path) -> None:
    info = reader(root).scan().info
    assert info.parents == {"family": (0, 1, 2, 2), "manufacturer": (0, 1, 2, 2)}
    assert info.prompts[0] == "a photo of an F-16A/B, an F-16 aircraft by Lockheed Martin"
    assert info.prompts[1] == "a photo of a Cessna 172 aircraft by Cessna"
    assert info.prompts[2] == "a photo of a 737-200, a Boeing 737 aircraft by Boeing"
    assert len(set(info.prompts)) == 4


def test_without_families_there_are_no_parents_and_a_warning(root: Path) -> None:
    (root / "data/families.txt").unlink()
    listing = reader(root).scan()
    assert set(listing.info.parents) == {"manufacturer"}
    assert listing.warnings == ("no families.txt: no family accuracy is reported",)
    assert listing.info.prompts[2] == "a photo of a 737-200 aircraft by Boeing"


def test_header_lines_are_skipped_and_counted(root: Path) -> None:
    before = reader(root).scan()
    headers = {
        "variants": "Variant",
        "families": "family",
        "images_variant_train": "Image Variant",
        "images_box": "Image x",
    }
    for name, header in headers.items():
        path = root / "data" / f"{name}.txt"
        path.write_text(f"{header}\n{path.read_text()}")
    listing = reader(root).scan()
    assert listing.samples == before.samples
    assert listing.info == before.info
    assert len(listing.warnings) == 1
    assert "4 header lines skipped: variants.txt:1 'Variant'" in listing.warnings[0]


@pytest.mark.parametrize("place", [".", "fgvc-aircraft-2013b", "fgvc-aircraft-2013b/fgvc-aircraft-2013b"])
def test_the_folder_may_be_nested(tmp_path: Path, place: str) -> None:
    write(tmp_path / place, photos(), TREE)
    assert len(reader(tmp_path).scan().samples) == 24


def test_the_folder_of_the_label_files_itself_will_do(root: Path) -> None:
    assert len(reader(root / "data").scan().samples) == 24


def test_boxes_that_count_from_zero_are_clamped(root: Path) -> None:
    (root / "data/images_box.txt").write_text("1025794 0 0 40 30\n1025795 1 2 40 30\n")
    samples = reader(root).scan().samples
    assert samples[0].boxes == ((0, 0, 40, 30),)
    assert samples[1].boxes == ((0, 1, 40, 30),)
    assert samples[2].boxes == ()


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("images_variant_train.txt", "1025794", r"train\.txt:3: '1025794' has no label; expected 'id label'"),
        (
            "images_variant_train.txt",
            "9 737-400",
            r"train\.txt:3: '737-400' is not in variants\.txt; did you mean '737-",
        ),
        ("images_variant_train.txt", "../../etc 737-200", r"train\.txt:3: '\.\./\.\./etc' is no picture id"),
        (
            "images_variant_train.txt",
            "1025794 737-200",
            r"train\.txt:3: picture 1025794 is labelled a second time; .*:1",
        ),
        (
            "images_variant_val.txt",
            "1025794 737-200",
            r"val\.txt:3: picture 1025794 is labelled a second time; .*train",
        ),
        ("images_family_train.txt", "1025794 F-17", r"family_train\.txt:3: 'F-17' is not in families\.txt"),
        ("images_family_train.txt", "77 F-16", r"family_train\.txt:3: picture 77 is not in images_variant_train\.txt"),
        ("images_box.txt", "1025794 1 2 3", r"images_box\.txt:3: '1025794 1 2 3' is no box"),
        ("images_box.txt", "1025794 1 2 3 x", r"images_box\.txt:3: .* is no box; expected 'id xmin ymin xmax ymax'"),
    ],
)
def test_a_bad_line_is_an_error_with_file_and_line(root: Path, file: str, line: str, message: str) -> None:
    path = root / "data" / file
    rows = path.read_text().splitlines()
    rows[2] = line
    path.write_text("\n".join(rows) + "\n")
    with pytest.raises(UserError, match=message):
        reader(root).scan()


def test_a_class_with_two_families_is_refused(root: Path) -> None:
    path = root / "data/images_family_train.txt"
    path.write_text(path.read_text().replace("1025797 Cessna 172", "1025797 F-16"))
    with pytest.raises(
        UserError, match=r"train\.txt:4: 'Cessna 172' belongs to the family 'F-16' here and to 'Ces.*:3"
    ):
        reader(root).scan()


def test_a_missing_picture_is_an_error_with_the_line_that_names_it(root: Path) -> None:
    (root / "data/images/1025796.jpg").unlink()
    with pytest.raises(UserError, match=r"variant_train\.txt:3: no picture 1025796 below .*; 1 of 24 are missing"):
        reader(root).scan()


def test_a_class_without_family_is_refused(root: Path) -> None:
    for split in SPLITS:
        path = root / "data" / f"images_family_{split}.txt"
        path.write_text("".join(row + "\n" for row in path.read_text().splitlines() if "F-16" not in row))
    with pytest.raises(UserError, match=r"images_family_\*\.txt give no family for F-16A/B"):
        reader(root).scan()


@pytest.mark.parametrize(
    ("content", "message"), [("737-200\n737-200\n", "names 737-200 more than once"), ("\n", "names no class")]
)
def test_a_bad_list_of_classes_is_refused(root: Path, content: str, message: str) -> None:
    (root / "data/variants.txt").write_text(content)
    with pytest.raises(UserError, match=rf"variants\.txt {message}"):
        reader(root).scan()


def test_a_missing_label_file_is_named(root: Path) -> None:
    (root / "data/images_variant_val.txt").unlink()
    with pytest.raises(UserError, match=r"no file .*images_variant_val\.txt; unpack"):
        reader(root).scan()


def test_missing_data_say_what_is_expected(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder .*none(.|\n)*images_variant(.|\n)*robots\.ox(.|\n)*--data"):
        reader(tmp_path / "none").scan()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no variants\.txt"):
        reader(tmp_path / "empty").scan()
    for path in (root / "data/images").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="holds labels of 24 pictures and none of the pictures"):
        reader(root).scan()


def test_a_truncated_picture_is_an_error_that_names_its_file(root: Path) -> None:
    path = root / "data/images/1025794.jpg"
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(UserError, match=r"1025794\.jpg cannot be decoded"):
        reader(root).load(reader(root).scan().samples[0])


def test_a_picture_linked_from_outside_is_refused(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "a.jpg"
    outside.touch()
    os.symlink(outside, root / "data/images/77.jpg")
    with pytest.raises(UserError, match=r"77\.jpg leads outside of"):
        reader(root).scan()


def test_the_real_stand_in(real: Path) -> None:
    read = reader(real / "fgvc-aircraft-2013b", image_size=64)
    listing = read.scan()
    assert len(listing.info.classes) == 20
    for split in SPLITS:
        labels = [listing.samples[i].label for i in listing.splits[split]]
        assert np.bincount(labels).tolist() == [40] * 20
    assert max(listing.info.parents["family"]) == 4
    assert listing.warnings == ()
    image_HWC, _ = read.load(listing.samples[0])
    assert image_HWC.shape == (64, 64, 3)


def test_the_genuine_label_files(tmp_path: Path) -> None:
    archive = ARCHIVES / "fgvc_labels_only.zip"
    if not archive.is_file():
        pytest.skip(f"no {archive.name} here")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path)
    labels = fgvc_labels.read(tmp_path / "fgvc-aircraft-2013b" / "data")
    assert len(labels.variants) == 100
    assert labels.variants[0] == "707-320"
    assert {"F-16A/B", "F/A-18"} <= set(labels.variants)
    assert {level: len(names) for level, names in labels.order.items()} == {"family": 70, "manufacturer": 30}
    assert [list(labels.split_of.values()).count(split) for split in SPLITS] == [3334, 3333, 3333]
    assert len(labels.boxes) == 10_000
    assert min(min(box) for box in labels.boxes.values()) == 0
    assert labels.warnings == []
    with pytest.raises(UserError, match="holds labels of 10,000 pictures and none of the pictures"):
        reader(tmp_path).scan()
    assert BANNER == 20
