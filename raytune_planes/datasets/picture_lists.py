"""CSV lists of pictures: a file name and a label a line, and perhaps a split."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from raytune_planes.datasets import files
from raytune_planes.datasets.matching import Names
from raytune_planes.datasets.split_folders import NAMES
from raytune_planes.datasets.survey import Survey
from raytune_planes.errors import UserError
from raytune_planes.printing import counted, printable

PICTURE = ("filename", "file_name", "file", "filepath", "path", "image", "image_name", "image_id", "img", "id", "name")
LABEL = ("class", "classes", "class_name", "category", "label", "labels", "target")
SPLIT = ("split", "subset", "set")
"""What columns are called, in any case; the first that is there counts."""


@dataclass
class Listed:
    """What the lists say of the pictures that are there."""

    label_of: dict[Path, str] = field(default_factory=dict)
    split_of: dict[Path, str] = field(default_factory=dict)
    """Of all pictures or of none."""
    warnings: list[str] = field(default_factory=list)


class _Row(NamedTuple):
    picture: str
    label: str
    split: str
    """Empty where neither a column nor the file's name tells it."""
    place: str


def read(survey: Survey, pictures: Sequence[Path]) -> Listed | None:
    """What all lists of the dataset say; None where no list names any of the ``pictures``.

    Raises:
        UserError: a line is malformed, fits several pictures or contradicts another.
    """
    listed, lost = Listed(), []
    place_of: dict[Path, str] = {}
    names = Names(pictures)
    for path in (path for path in survey.files if path.suffix.lower() == ".csv"):
        rows = [(row, names.match(row.picture, row.place, path.parent, row.split)) for row in _rows(path)]
        if not any(picture for _, picture in rows):
            continue  # it tells of other things
        survey.read([path])
        for row, picture in rows:
            if picture is None:
                lost.append(row.picture)
                continue
            before = listed.label_of.setdefault(picture, row.label), listed.split_of.setdefault(picture, row.split)
            if before != (row.label, row.split):
                raise UserError(
                    f"{row.place}: {row.picture} is {_in_words(row.label, row.split)} here and {_in_words(*before)} in "
                    f"{place_of[picture]}; keep one of the lines"
                )
            place_of.setdefault(picture, row.place)
    if not listed.label_of:
        return None
    without = [picture for picture, split in listed.split_of.items() if not split]
    if len(without) == len(listed.split_of):
        listed.split_of.clear()
    elif without:
        raise UserError(f"{place_of[without[0]]} tells no split, and other lines do; give all of them one, or none")
    if lost:
        listed.warnings.append(f"{counted(len(lost), 'listed picture')} not there: {files.some(lost)}")
    return listed


def _rows(path: Path) -> Iterator[_Row]:
    """The lines below a header that names a column of pictures and one of labels; nothing of any other file."""
    (_, header), *lines = files.lines(path) or [(0, "")]
    delimiter = max(",;\t", key=header.count)
    columns = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
    picture, label, split = (
        next((columns.index(n) for n in names if n in columns), None) for names in (PICTURE, LABEL, SPLIT)
    )
    if picture is None or label is None:
        return
    for number, line in lines:
        row = [value.strip() for value in next(csv.reader([line], delimiter=delimiter))]
        if len(row) != len(columns) or not row[picture] or not row[label]:
            raise UserError(f"{path}:{number}: '{printable(line[:80])}' is no '{printable(header[:80])}'")
        own = NAMES.get(path.stem.lower(), "") if split is None else NAMES.get(row[split].lower())
        if own is None:
            raise UserError(f"{path}:{number}: no split '{printable(row[split or 0])}'; there are {', '.join(NAMES)}")
        yield _Row(row[picture], row[label], own, f"{path}:{number}")


def _in_words(label: str, split: str) -> str:
    return f"'{printable(label)}'{f' of {split}' if split else ''}"
