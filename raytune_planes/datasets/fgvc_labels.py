"""The label files of FGVC-Aircraft: classes, their families and manufacturers, splits and boxes."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from raytune_planes.datasets import files
from raytune_planes.datasets.base import SPLITS
from raytune_planes.errors import UserError, did_you_mean
from raytune_planes.printing import counted

HEADERS = frozenset(
    {"variant", "variants", "family", "families", "manufacturer", "manufacturers", "class", "classes"}
    | {"image", "images", "image_id", "id", "filename", "file"}
)
"""First words, in lower case, of the header lines that a public copy carries in six files."""
LEVELS: Mapping[str, str] = {"variant": "variants.txt", "family": "families.txt", "manufacturer": "manufacturers.txt"}

FILES = re.compile(r"(images_\w+|variants|families|manufacturers)\.txt|(train|val|test)\.csv|README.*", re.IGNORECASE)
"""Files of the data set, of which some repeat what others say."""

Box = tuple[float, float, float, float]


@dataclass
class Labels:
    """What the label files say."""

    variants: tuple[str, ...]
    """In the order of ``variants.txt``: a variant's place is its class."""
    variant_of: dict[str, int] = field(default_factory=dict)
    """Picture id -> class, over all splits, in the files' order."""
    split_of: dict[str, str] = field(default_factory=dict)
    place_of: dict[str, str] = field(default_factory=dict)
    """Picture id -> ``file:line`` that names it, for messages."""
    parents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """``family`` and ``manufacturer`` -> the name for every class."""
    order: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """``family`` and ``manufacturer`` -> all names in the order of their file."""
    boxes: dict[str, Box] = field(default_factory=dict)
    """Picture id -> left, top, right, bottom in pixels from 0; not below 0."""
    warnings: list[str] = field(default_factory=list)

    def add(self, picture: str, variant: int, split: str, place: str) -> None:
        """Raises UserError when the picture has a label already."""
        if picture in self.variant_of:
            raise UserError(
                f"{place}: picture {picture} is labelled a second time; {self.place_of[picture]} names it first"
            )
        self.variant_of[picture], self.split_of[picture], self.place_of[picture] = variant, split, place


def is_label_file(path: Path) -> bool:
    """Whether this is one of the text files that come with the data set, by its name."""
    return FILES.fullmatch(path.name) is not None


def read(data: Path) -> Labels:
    """The label files below ``data``, the folder of ``variants.txt``.

    Raises:
        UserError: a file is missing, a line is malformed, or two files contradict each other; names file and line.
    """
    headers: list[str] = []
    labels = Labels(tuple(_names(data / LEVELS["variant"], headers)))
    place = {variant: n for n, variant in enumerate(labels.variants)}
    for split in SPLITS:
        path = data / f"images_variant_{split}.txt"
        for number, picture, variant in _pairs(path, headers):
            if variant not in place:
                raise _unknown(f"{path}:{number}", variant, LEVELS["variant"], place)
            labels.add(picture, place[variant], split, f"{path}:{number}")
    for level in ("family", "manufacturer"):
        _read_parents(labels, data, level, headers)
    if (data / "images_box.txt").is_file():
        labels.boxes = _boxes(data / "images_box.txt", headers)
    if headers:
        labels.warnings.append(f"{counted(len(headers), 'header line')} skipped: {files.some(headers)}")
    return labels


def read_csv(folder: Path) -> Labels:
    """A mirror's ``train.csv``, ``val.csv`` and ``test.csv`` with ``filename,Classes,Labels``. Raises UserError."""
    name_of: dict[int, str] = {}
    rows: list[tuple[str, int, str, str]] = []
    for split in SPLITS:
        path = folder / f"{split}.csv"
        if not path.is_file():
            raise UserError(f"no file {path}; the splits are read from train.csv, val.csv and test.csv together")
        for number, line in files.lines(path):
            row = next(csv.reader([line]))
            if number == 1 and row and row[0].strip().lower() in HEADERS:
                continue
            if len(row) != 3 or not row[2].strip().isdigit():
                raise UserError(f"{path}:{number}: '{','.join(row)[:80]}' is no 'filename,Classes,Labels'")
            picture, variant, label = Path(row[0].strip()).stem, row[1].strip(), int(row[2])
            if name_of.setdefault(label, variant) != variant:
                raise UserError(f"{path}:{number}: label {label} is '{variant}' here and '{name_of[label]}' before")
            rows.append((picture, label, split, f"{path}:{number}"))
    order = sorted(name_of)
    if len(set(name_of.values())) < len(order):
        raise UserError(f"{folder}: a class has two labels in the csv files; each has one")
    labels = Labels(tuple(name_of[label] for label in order))
    for picture, label, split, where in rows:
        labels.add(picture, order.index(label), split, where)
    return labels


def _read_parents(labels: Labels, data: Path, level: str, headers: list[str]) -> None:
    if not (data / LEVELS[level]).is_file():
        labels.warnings.append(f"no {LEVELS[level]}: no {level} accuracy is reported")
        return
    known = dict.fromkeys(_names(data / LEVELS[level], headers))
    parent_of: dict[int, tuple[str, str]] = {}
    for split in SPLITS:
        path = data / f"images_{level}_{split}.txt"
        for number, picture, parent in _pairs(path, headers):
            where = f"{path}:{number}"
            if parent not in known:
                raise _unknown(where, parent, LEVELS[level], known)
            if picture not in labels.variant_of or labels.split_of[picture] != split:
                raise UserError(f"{where}: picture {picture} is not in images_variant_{split}.txt")
            first, at = parent_of.setdefault(labels.variant_of[picture], (parent, where))
            if first != parent:
                variant = labels.variants[labels.variant_of[picture]]
                raise UserError(f"{where}: '{variant}' belongs to the {level} '{parent}' here and to '{first}' in {at}")
    orphans = [variant for n, variant in enumerate(labels.variants) if n not in parent_of]
    if orphans:
        raise UserError(f"{data}: images_{level}_*.txt give no {level} for {files.some(orphans)}")
    labels.parents[level] = tuple(parent_of[n][0] for n in range(len(labels.variants)))
    labels.order[level] = tuple(known)


def _names(path: Path, headers: list[str]) -> list[str]:
    names = [name for number, name in _lines(path) if not _is_header(path, number, name, headers)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{path} names {files.some(twice)} more than once")
    if not names:
        raise UserError(f"{path} names no class")
    return names


def _pairs(path: Path, headers: list[str]) -> list[tuple[int, str, str]]:
    """Line number, picture id and label, split at the first blank: labels hold blanks themselves."""
    pairs = []
    for number, line in _lines(path):
        if _is_header(path, number, line, headers):
            continue
        picture, _, label = line.replace("\t", " ").partition(" ")
        if not label.strip():
            raise UserError(f"{path}:{number}: '{line[:80]}' has no label; expected 'id label', e.g. '1025794 707-320'")
        _check_id(picture, f"{path}:{number}")
        pairs.append((number, picture, label.strip()))
    return pairs


def _boxes(path: Path, headers: list[str]) -> dict[str, Box]:
    boxes = {}
    for number, line in _lines(path):
        if _is_header(path, number, line, headers):
            continue
        picture, *numbers = line.split()
        try:
            left, top, right, bottom = (float(value) for value in numbers)
        except ValueError:
            raise UserError(f"{path}:{number}: '{line[:80]}' is no box; expected 'id xmin ymin xmax ymax'") from None
        # Said to count from 1, yet 122 lines of the original have an xmin of 0.
        boxes[picture] = (max(0.0, left - 1), max(0.0, top - 1), right, bottom)
    return boxes


def _lines(path: Path) -> list[tuple[int, str]]:
    if not path.is_file():
        raise UserError(f"no file {path}; unpack the data set's archive again")
    return files.lines(path)


def _is_header(path: Path, number: int, line: str, headers: list[str]) -> bool:
    is_header = number == 1 and line.replace(",", " ").split()[0].lower() in HEADERS
    headers += [f"{path.name}:1 '{line[:40]}'"] if is_header else []
    return is_header


def _check_id(picture: str, place: str) -> None:
    if not picture.replace("-", "").replace("_", "").isalnum():  # an id becomes part of a path
        raise UserError(f"{place}: '{picture[:80]}' is no picture id; ids are made of digits and letters")


def _unknown(place: str, name: str, file: str, known: Mapping[str, object]) -> UserError:
    return UserError(f"{place}: '{name}' is not in {file}{did_you_mean(name, known)}")
