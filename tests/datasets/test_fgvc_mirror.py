"""The mirror of FGVC-Aircraft whose labels are csv files."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.datasets.base import SPLITS
from raytune_planes.datasets.fgvc import write
from raytune_planes.errors import UserError
from tests.datasets.test_fgvc import TREE, facts, photos, reader


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, photos(), TREE)
    return tmp_path


def mirror(root: Path) -> None:
    """Turn the label files into those of the mirror: ``filename,Classes,Labels`` per split, and pictures."""
    for split in SPLITS:
        rows = [(p.id, p.variant, [v.name for v in TREE].index(p.variant)) for p in photos() if p.split == split]
        lines = ["filename,Classes,Labels", *(f"{i}.jpg,{name},{label}" for i, name, label in rows)]
        (root / f"{split}.csv").write_text("\n".join(lines) + "\n")
    for path in (root / "data").glob("*.txt"):
        path.unlink()


def test_a_mirror_with_csv_files_is_read(root: Path) -> None:
    official = reader(root).scan()
    mirror(root)
    listing = reader(root).scan()
    assert facts(listing) == facts(official)
    assert listing.info.classes == official.info.classes
    assert listing.info.parents == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1.jpg,737-200", r"train\.csv:2: '1\.jpg,737-200' is no 'filename,Classes,Labels'"),
        ("1.jpg,737-200,0", r"train\.csv:3: label 0 is 'F-16A/B' here and '737-200' before"),
        ("1.jpg,737-200,9", r"a class has two labels in the csv files"),
        ("1025795.jpg,F-16A/B,0", r"train\.csv:3: picture 1025795 is labelled a second time; .*train\.csv:2"),
    ],
)
def test_a_bad_csv_file_is_refused(root: Path, line: str, message: str) -> None:
    mirror(root)
    rows = (root / "train.csv").read_text().splitlines()
    rows[1] = line
    (root / "train.csv").write_text("\n".join(rows))
    with pytest.raises(UserError, match=message):
        reader(root).scan()


def test_a_mirror_that_lacks_a_split_is_refused(root: Path) -> None:
    mirror(root)
    (root / "val.csv").unlink()
    with pytest.raises(
        UserError, match=r"no file .*val\.csv; the splits are read from train\.csv, val\.csv and test\.csv"
    ):
        reader(root).scan()
