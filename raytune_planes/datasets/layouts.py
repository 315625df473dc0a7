"""What a folder seems to hold that a reader cannot read: known exports, and archives unpacked a level too deep."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from raytune_planes.datasets import label_formats
from raytune_planes.datasets.files import some
from raytune_planes.datasets.split_folders import split_of
from raytune_planes.datasets.survey import Survey
from raytune_planes.errors import UserError
from raytune_planes.printing import printable

CHIP = re.compile(r"[01]__.+__[-.\d]+_[-.\d]+")


def recognised(survey: Survey, setting: str) -> str:
    """A sentence on the format that the files have, and what to do; empty for files that show none.

    Args:
        setting: of the dataset, such as ``datasets.mine``.
    """
    for path in survey.files:
        shown = printable(path)
        if path.name == "variants.txt":
            return f"{shown} is a list of FGVC-Aircraft: set {setting}.reader=fgvc."
        if CHIP.fullmatch(path.stem):
            return f"{shown} is named as a chip of PlanesNet: set {setting}.reader=planesnet."
        if form := label_formats.format_of(path):
            return (
                f"{shown} shows that this is an export as {form}: set {setting}.reader=hrplanes, which reads scenes "
                f"with boxes; if the boxes have several classes, {setting}.classes names those to find."
            )
    return ""


def out_of_place(survey: Survey) -> str:
    """A sentence on label files that no picture's name or folder leads to; empty where there are none."""
    paths = [path for path in survey.files if label_formats.format_of(path)]
    if not paths:
        return ""
    form = label_formats.format_of(paths[0])
    holds = "holds" if len(paths) == 1 else "hold"
    return (
        f"{some(paths)} {holds} boxes as {form} has them, and no picture has such a name: a "
        f"label file has the name of its picture, and is next to it or in a folder labels/."
    )


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
    place = f"All pictures are below {printable(shared)} ({folders})"
    why = "if these folders are the classes or splits, an archive was unpacked a level too deep"
    return f"{place}: {why}; set {setting}.root={printable(root)}."


def refuse_doubled_splits(base: Path, pictures: Sequence[Path]) -> None:
    """Raises UserError: ``train/`` holds nothing but ``train/train/``, whose folders are the classes."""
    below: dict[str, set[str]] = {}
    deeper = set()
    for path in pictures:
        top, *more = path.relative_to(base).parts[:-1] or ("",)
        if split_of(top) and more:
            below.setdefault(top, set()).add(more[0])
            deeper |= {top} if len(more) > 1 else set()
    for top, names in sorted(below.items()):
        if top in deeper and names in ({top}, {top.lower()}):
            inner = base / top / next(iter(names))
            raise UserError(
                f"{printable(base / top)} holds nothing but {printable(inner)}: an archive was unpacked a level too "
                f"deep; move the folders of {printable(inner)} up by one"
            )
