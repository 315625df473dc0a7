"""Formats of labels that tell where objects are. Another one is a file here and a line in ``FORMATS``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from raytune_planes.datasets.files import some
from raytune_planes.datasets.label_formats import coco, dota, voc, yolo
from raytune_planes.datasets.labels import Found, Labels
from raytune_planes.datasets.survey import Survey
from raytune_planes.errors import UserError
from raytune_planes.printing import counted


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
"""By the name that people know. Of several, the one that labels the most pictures is read; the first of equal ones."""


def read(survey: Survey, sizes: Mapping[Path, tuple[int, int]]) -> Found | None:
    """The labels of pictures of these sizes (width, height), in their order; None where there are none.

    Raises:
        UserError: a label file is malformed, or contradicts its picture; or no picture that is there has labels.
    """
    read = {name: found for name, form in FORMATS.items() if (found := form.read(survey, sizes)) is not None}
    if not read:
        return None
    name = max(read, key=lambda name: len(read[name].labels_of))
    found = read.pop(name)
    if not found.labels_of:
        raise UserError(f"{some(sorted(found.files))}: labels of {name}, and no picture that they name is there")
    survey.read(found.files)
    for other, its in read.items():
        reason = f"label files of {other}, left out since {name} labels as many pictures or more"
        survey.leave(reason, sorted(its.files))
    bare = [picture for picture in sizes if picture not in found.labels_of]
    if bare and FORMATS[name].silence_is_empty:
        names = some([picture.name for picture in bare])
        found.warnings.append(f"{counted(len(bare), 'picture')} without a label file, counted as empty: {names}")
        found.labels_of |= {picture: Labels() for picture in bare}
    elif bare:
        survey.leave(f"pictures in no label file of {name}, left out", bare)
    found.labels_of = {picture: found.labels_of[picture] for picture in sizes if picture in found.labels_of}
    return found


def format_of(path: Path) -> str:
    """Which of ``FORMATS`` a file has; empty for none."""
    return next((name for name, form in FORMATS.items() if form.looks(path)), "")
