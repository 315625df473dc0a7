"""Which picture is meant by a name that was written on another machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.datasets.matching import Names
from raytune_planes.errors import UserError

ROOT = Path("/data/set")
PICTURES = [ROOT / name for name in ("a.JPG", "b/a.JPG", "train/x.jpg", "val/x.jpg", "one/two/x.jpg", "y.tar.png")]


@pytest.mark.parametrize(
    ("entry", "near", "split", "expected"),
    [
        ("C:\\work\\train\\x.jpg", None, "", "train/x.jpg"),
        ("/home/me/two/x.jpg", None, "", "one/two/x.jpg"),
        ("a.jpg", ROOT, "", "a.JPG"),
        ("b/a.jpg", ROOT, "", "b/a.JPG"),
        ("a.jpg", ROOT / "b", "", "b/a.JPG"),
        ("x.jpg", ROOT, "val", "val/x.jpg"),
        ("x.jpg", ROOT / "train" / "labels", "", "train/x.jpg"),
        ("y.tar", None, "", "y.tar.png"),
        ("Y.TAR.PNG", None, "", "y.tar.png"),
    ],
)
def test_the_picture_that_fits_best_is_meant(entry: str, near: Path | None, split: str, expected: str) -> None:
    assert Names(PICTURES).match(entry, "list:1", near, split) == ROOT / expected


def test_what_is_not_there_or_fits_several_is_told() -> None:
    assert Names(PICTURES).match("z.jpg", "list:1") is None
    with pytest.raises(
        UserError, match=r"list:3: 'x\.jpg' fits several pictures: .*train/x\.jpg, .*; keep one of them"
    ):
        Names(PICTURES).match("x.jpg", "list:3", ROOT)
