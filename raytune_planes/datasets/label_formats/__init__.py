"""Formats of labels that tell where objects are. Another one is a file here and a line in ``FORMATS``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from raytune_planes.datasets.files import some
from raytune_planes.datasets.label_formats import coco, dota, voc, yolo
from raytune_planes.datasets.labels import Found, Labels
from raytune_planes.datasets.survey import Survey


class Format(NamedTuple):
    """How a format is recognised and read."""

    looks: Callable[[Path], bool]
    """Whether a file is of it, by its content."""
    read: Callable[[Survey, Mapping[Path, tuple[int, int]]], Found | None]
    """What the format's files say of pictures of these sizes (width, height); None where there are no such files."""
    silence_is_empty: bool = False
    """Whether a picture without labels shows no object. It is left out where that is not the format's rule."""


FORMATS: Mapping[str, Format] = {
    "YOLO": Format(yolo.looks, yolo.read, silence_is_empty=True),
    "DOTA": Format(dota.looks, dota.read),
    "COCO": Format(coco.looks, coco.read),
    "Pascal VOC": Format(voc.looks, voc.read),
}
"""By the name that people know. The first one of which there are files is read."""


def read(survey: Survey, sizes: Mapping[Path, tuple[int, int]]) -> Found | None:
    """The labels of pictures of these sizes (width, height), in their order; None where there are none.

    Raises:
        UserError: a label file is malformed, or contradicts its picture.
    """
    for name, form in FORMATS.items():
        found = form.read(survey, sizes)
        if found is None:
            continue
        survey.read(found.files)
        for other, its in FORMATS.items():
            if other != name:
                rest = [path for path in survey.files if path not in found.files and its.looks(path)]
                survey.leave(f"label file(s) of {other} were left out, since there are some of {name}", rest)
        bare = [picture for picture in sizes if picture not in found.labels_of]
        if bare and form.silence_is_empty:
            names = some([picture.name for picture in bare])
            found.warnings.append(f"{len(bare):,} picture(s) have no label file and count as empty: {names}")
            found.labels_of |= {picture: Labels() for picture in bare}
        elif bare:
            survey.leave(f"picture(s) are in no label file of {name} and were left out", bare)
        found.labels_of = {picture: found.labels_of[picture] for picture in sizes if picture in found.labels_of}
        return found
    return None


def format_of(path: Path) -> str:
    """Which of ``FORMATS`` a file has; empty for none."""
    return next((name for name, form in FORMATS.items() if form.looks(path)), "")
