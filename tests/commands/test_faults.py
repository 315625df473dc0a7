"""Each kind of fault of pictures is named by ``data`` with its count, stops ``--strict``, and is in ``--json``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from raytune_planes.cli import main
from raytune_planes.datasets.hygiene import examine
from tests.datasets.test_image_folder import reader

SPLITS = {"train": 6, "val": 4, "test": 4}


def picture(path: Path, seed: int, brighter: int = 0) -> None:
    """Coarse noise, so that no two are alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.random.default_rng(seed).integers(20, 230, (8, 8, 3), np.uint8) + np.uint8(brighter)
    Image.fromarray(cells).resize((64, 64), Image.Resampling.NEAREST).save(path)


def unreadable(root: Path) -> int:
    for n in range(2):
        (root / "train" / "jet" / f"page{n}.jpg").write_text("<html>not found</html>")
    return 2


def blank(root: Path) -> int:
    Image.new("RGB", (64, 64), (40, 40, 40)).save(root / "train" / "jet" / "night.png")
    return 1


def beside(root: Path) -> int:
    for n in range(3):
        picture(root / "sample" / "jet" / f"{n}.png", 1000 + n)
    return 3


def copies(root: Path) -> int:
    for n, split in enumerate(("train", "val")):
        picture(root / split / "jet" / f"a_png.rf.{n:032x}.png", 1000 + n)
    return 1


def two_labels(root: Path) -> int:
    shutil.copy(root / "train" / "jet" / "0.png", root / "train" / "glider" / "again.png")
    return 1


def in_two_splits(root: Path) -> int:
    for n in range(2):
        shutil.copy(root / "train" / "jet" / f"{n}.png", root / "val" / "jet" / f"again{n}.png")
    return 2


def near_with_two_labels(root: Path) -> int:
    with Image.open(root / "train" / "jet" / "0.png") as original:
        ImageOps.mirror(original).save(root / "train" / "glider" / "mirrored.png")
    return 1


def near(root: Path) -> int:
    picture(root / "test" / "jet" / "brighter.png", 0, brighter=3)
    return 1


FAULTS: Mapping[str, Callable[[Path], int]] = {
    "unreadable pictures": unreadable,
    "blank pictures": blank,
    "pictures left out": beside,
    "pictures with copies (.rf.) in several splits": copies,
    "identical pictures with several labels": two_labels,
    "identical pictures in several splits": in_two_splits,
    "near copies with several labels": near_with_two_labels,
    "near copies in several splits": near,
}
"""What plants each fault, and how often it then is there."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for s, (split, count) in enumerate(SPLITS.items()):
        for k, name in enumerate(("jet", "glider")):
            for n in range(count):
                picture(tmp_path / split / name / f"{n}.png", 100 * s + 10 * k + n)
    return tmp_path


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_is_told_counted_and_stops_a_script(what: str, root: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["data", str(root), "--strict"]) == 0
    assert "  faults: none\n" in capsys.readouterr().out
    count = FAULTS[what](root)
    assert main(["data", str(root)]) == 0
    assert f"  faults: {count} {what}\n" in capsys.readouterr().out
    assert main(["data", str(root), "--strict", "--json"]) == 1
    (told,) = json.loads(capsys.readouterr().out)
    assert {name: n for name, n in told["faults"].items() if n} == {what: count}


def test_every_kind_of_fault_is_tried(root: Path) -> None:
    assert list(examine(reader(root)).faults) == list(FAULTS)


def test_what_was_left_out_is_told_with_its_reason_in_json(root: Path, capsys: pytest.CaptureFixture) -> None:
    beside(root)
    (root / "train" / "jet" / "notes.txt").write_text("by me")
    assert main(["data", str(root), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    reason = "pictures outside of test/, train/, val/, in a folder that names no split, left out"
    assert told["left_out"] == {
        reason: {"count": 3, "examples": [f"sample/jet/{n}.png" for n in range(3)]},
        "files that this reader does not use": {"count": 1, "examples": ["train/jet/notes.txt"]},
    }
