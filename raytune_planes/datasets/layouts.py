"""What a folder seems to hold that a reader cannot read: known exports, and archives unpacked a level too deep."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from raytune_planes.datasets.files import some
from raytune_planes.datasets.split_folders import NAMES
from raytune_planes.datasets.survey import Survey
from raytune_planes.errors import UserError
from raytune_planes.paths import regular
from raytune_planes.printing import printable

BOX = re.compile(rb"\s*\d{1,4}(\.0+)?(\s+-?([01]|[01]?\.\d+)(e-?\d+)?){4,}\s*$", re.MULTILINE)
"""A class id and fractions of the picture."""
CHIP = re.compile(r"[01]__.+__[-.\d]+_[-.\d]+")
LARGEST = 2**26
"""Bytes of a file that is looked into."""


def recognised(survey: Survey, setting: str) -> str:
    """A sentence on the format that the files have, and what to do; empty for files that show none.

    Args:
        setting: of the dataset, such as ``datasets.mine``.
    """
    for path in survey.files:
        shown, suffix = printable(path), path.suffix.lower()
        if path.name == "variants.txt":
            return f"{shown} is a list of FGVC-Aircraft: set {setting}.reader=fgvc."
        if CHIP.fullmatch(path.stem):
            return f"{shown} is named as a chip of PlanesNet: set {setting}.reader=planesnet."
        if suffix == ".json" and _is_coco(path):
            return (
                f"{shown} makes it a COCO export, which is not read: export as YOLO (a text file of boxes for each "
                f"picture) and set {setting}.reader=hrplanes."
            )
        if suffix == ".xml" and b"<annotation" in _start(path):
            return (
                f"{shown} makes it a Pascal VOC export, which is not read: export as YOLO (a text file of boxes for "
                f"each picture) and set {setting}.reader=hrplanes."
            )
        if suffix == ".txt" and BOX.match(_start(path)):
            return f"{shown} holds boxes as YOLO writes them: set {setting}.reader=hrplanes."
    return ""


def too_deep(base: Path, pictures: Sequence[Path], setting: str) -> str:
    """A sentence on the folder below ``base`` that holds all others, if one does and may be the dataset's own."""
    parents = {path.parent for path in pictures if path.parent != base}
    if len(parents) < 2:
        return ""
    shared = Path(os.path.commonpath(parents))
    if shared == base:
        return ""
    inside = sorted({parent.relative_to(shared).parts[0] for parent in parents if parent != shared})
    root = shared.parent if shared.name == "images" and shared.parent != base else shared
    folders = some([f"{name}/" for name in inside])
    seen = f"All pictures lie below {printable(shared)} ({folders})"
    why = "if these folders are the classes or splits, an archive was unpacked a level too deep"
    return f"{seen}: {why}; set {setting}.root={printable(root)}."


def refuse_doubled_splits(base: Path, pictures: Sequence[Path]) -> None:
    """Raises UserError: ``train/`` holds nothing but ``train/train/``, whose folders are the classes."""
    below: dict[str, set[str]] = {}
    deeper = set()
    for path in pictures:
        top, *more = path.relative_to(base).parts[:-1] or ("",)
        if top.lower() in NAMES and more:
            below.setdefault(top, set()).add(more[0])
            deeper |= {top} if len(more) > 1 else set()
    for top, names in sorted(below.items()):
        if top in deeper and names in ({top}, {top.lower()}):
            inner = base / top / next(iter(names))
            raise UserError(
                f"{printable(base / top)} holds nothing but {printable(inner)}: an archive was unpacked a level too "
                f"deep; move the folders of {printable(inner)} up by one"
            )


def _is_coco(path: Path) -> bool:
    try:
        if path.stat().st_size > LARGEST:
            return False
        table = json.loads(regular(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(table, dict) and {"images", "annotations"} <= set(table)


def _start(path: Path) -> bytes:
    try:
        with regular(path).open("rb") as file:
            return file.read(4096)
    except OSError:
        return b""
