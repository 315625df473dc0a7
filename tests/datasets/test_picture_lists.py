"""Class labels from CSV lists where the folders tell none."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.datasets.base import Listing
from raytune_planes.errors import UserError
from tests.datasets.test_image_folder import classes, picture, reader

KINDS = ("glider", "jet")


def labels(listing: Listing, root: Path) -> dict[str, str]:
    return {s.path.relative_to(root).as_posix(): listing.info.classes[s.label] for s in listing.samples}


def splits(listing: Listing, root: Path) -> dict[str, str]:
    rows = ((split, i) for split, index in listing.splits.items() for i in index)
    return {listing.samples[i].path.relative_to(root).as_posix(): split for split, i in rows}


@pytest.mark.parametrize("suffix", [".png", "", ".PNG"])
@pytest.mark.parametrize("header", ["filename,label", "Image_ID;Class;note", "path\tcategory"])
def test_a_list_of_names_and_labels_is_read(tmp_path: Path, header: str, suffix: str) -> None:
    cut = max(",;\t", key=header.count)
    for n in range(20):
        picture(tmp_path / "all" / f"{n}.png")
    rows = [cut.join([f"{n}{suffix}", KINDS[n % 2], "x"][: header.count(cut) + 1]) for n in range(20)]
    (tmp_path / "list.csv").write_text("\r\n".join([header, *rows]))
    listing = reader(tmp_path).scan()
    assert labels(listing, tmp_path) == {f"all/{n}.png": KINDS[n % 2] for n in range(20)}
    assert {split: len(index) for split, index in listing.splits.items()} == {"train": 16, "val": 2, "test": 2}
    assert listing.account.left_out == {}
    assert tmp_path / "list.csv" in listing.account.read


def test_the_column_of_splits_is_kept(tmp_path: Path) -> None:
    given = {f"{n}.png": ("train", "val", "test")[n % 3] for n in range(12)}
    for name in given:
        picture(tmp_path / name)
    spelled = {"train": "Training", "val": "valid", "test": "test"}
    rows = [f"{name},{KINDS[n // 3 % 2]},{spelled[split]}" for n, (name, split) in enumerate(given.items())]
    (tmp_path / "list.csv").write_text("\n".join(["filename,label,split", *rows]))
    assert splits(reader(tmp_path).scan(), tmp_path) == given


def test_a_list_for_each_split_fits_the_pictures_of_its_folder(tmp_path: Path) -> None:
    """As competitions and the mirror of FGVC-Aircraft come: every split counts from 0, names before numbers."""
    for split in ("train", "val", "test"):
        rows = [f"{n}.png,{KINDS[n % 2]},{n % 2}" for n in range(4)]
        for n in range(4):
            picture(tmp_path / split / f"{n}.png")
        (tmp_path / f"{split}.csv").write_text("\n".join(["filename,Classes,Labels", *rows]))
    listing = reader(tmp_path).scan()
    assert listing.info.classes == KINDS
    assert splits(listing, tmp_path) == {
        f"{split}/{n}.png": split for split in ("train", "val", "test") for n in range(4)
    }


def test_what_a_list_lacks_and_what_is_not_there_are_named(tmp_path: Path) -> None:
    for n in range(20):
        picture(tmp_path / f"{n}.png")
    rows = [f"{n}.png,{KINDS[n % 2]}" for n in range(1, 22)]
    (tmp_path / "list.csv").write_text("\n".join(["filename,label", *rows]))
    (tmp_path / "prices.csv").write_text("id,price\n1,2\n")
    listing = reader(tmp_path).scan()
    assert listing.warnings[0] == "2 listed pictures not there: 20.png, 21.png"
    assert listing.account.left_out == {
        "pictures in no list, left out": ("0.png",),
        "files that this reader does not use": ("prices.csv",),
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["filename,label", "0.png,jet", "0.png,glider"], r"list\.csv:3: 0\.png is 'glider' here and 'jet' in .*csv:2"),
        (["filename,label", "0.png,jet", "1.png"], r"list\.csv:3: '1\.png' is no 'filename,label'"),
        (["filename,label,split", "0.png,jet,holdout"], r"list\.csv:2: no split 'holdout'; there are train, training,"),
        (["filename,label", "2.png,jet"], r"list\.csv:2: '2\.png' fits several pictures: .*a/2\.png, .*b/2\.png"),
    ],
)
def test_a_bad_line_is_an_error_with_file_and_line(tmp_path: Path, rows: list[str], message: str) -> None:
    for name in ("0.png", "1.png", "a/2.png", "a/b/2.png"):
        picture(tmp_path / name)
    (tmp_path / "list.csv").write_text("\n".join(rows))
    with pytest.raises(UserError, match=message):
        reader(tmp_path).scan()


def test_folders_of_classes_count_before_lists(tmp_path: Path) -> None:
    classes(tmp_path, names=KINDS)
    (tmp_path / "list.csv").write_text("filename,label\nglider/00.png,jet\n")
    listing = reader(tmp_path).scan()
    assert labels(listing, tmp_path)["glider/00.png"] == "glider"
    assert listing.account.left_out == {"files that this reader does not use": ("list.csv",)}
