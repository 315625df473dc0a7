"""COCO: JSON files with lists of pictures, of classes and of objects with their boxes or outlines."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raytune_planes.datasets.base import SPLITS
from raytune_planes.datasets.files import some
from raytune_planes.datasets.label_formats import rle
from raytune_planes.datasets.labels import OUTLINE, Found, Marked, another_size, clipped, outlined
from raytune_planes.datasets.matching import Names
from raytune_planes.datasets.outlines import smallest_rectangle
from raytune_planes.datasets.split_folders import NAMES
from raytune_planes.datasets.survey import Survey
from raytune_planes.errors import UserError, first_line
from raytune_planes.paths import regular, start
from raytune_planes.printing import in_number, printable

LARGEST = 2**29
"""Bytes of a file; COCO's own largest one has 470 MB."""
LOOKED_INTO = 2**26
"""Bytes of a file that is parsed only to say what it is."""
KEYS = ("images", "annotations", "categories")
OPENING = re.compile(rb'"(images|annotations|categories|info|licenses)"\s*:\s*[\[{]')
"""How a file of the format begins; other JSON files are told with the files that are not used."""
CROWD = "regions of many objects (iscrowd), taken as a box each"
UNLISTED = "objects of pictures that their file does not list, left out"


def looks(path: Path) -> bool:
    """Whether the file is of this format; of a large one that is not known."""
    return path.suffix.lower() == ".json" and path.stat().st_size <= LOOKED_INTO and _table(path) is not None


def read(survey: Survey, sizes: Mapping[Path, tuple[int, int]]) -> Found | None:
    """The boxes of the pictures that JSON files list; None where there is no such file.

    The name of a file, such as ``instances_val2017.json``, tells the split of its pictures.

    Raises:
        UserError: a file is malformed, or a picture has another size than it says.
    """
    names, collected = Names(sizes), _Collected()
    for path in survey.files:
        table = _table(path) if path.suffix.lower() == ".json" else None
        if table is not None:
            collected.add(path, table, names, sizes)
    return collected.found(sizes) if collected.files else None


@dataclass
class _Collected:
    """What the files say that were read so far."""

    files: set[Path] = field(default_factory=set)
    rows: dict[Path, list[Marked]] = field(default_factory=lambda: defaultdict(list))
    """Every object of a picture."""
    split_of: dict[Path, str] = field(default_factory=dict)
    twice: dict[Path, None] = field(default_factory=dict)
    """Pictures of several splits."""
    called: set[tuple[str, str]] = field(default_factory=set)
    """Names of classes with their ids."""
    lost: list[str] = field(default_factory=list)
    unlisted: int = 0

    def add(self, path: Path, table: dict[str, Any], names: Names, sizes: Mapping[Path, tuple[int, int]]) -> None:
        """One more file. Raises UserError."""
        split = next((NAMES[word] for word in re.findall("[a-z]+", path.stem.lower()) if word in NAMES), "")
        kinds = _kinds(table["categories"], f"{printable(path)}: categories")
        pictures, missing = _pictures(table["images"], path, names, sizes, split)
        self.files.add(path)
        self.lost += missing
        self.called |= {(kind, number) for number, kind in kinds.items()}
        for there in filter(None, pictures.values()):
            self.rows[there] += []
            before = self.split_of.get(there, split)
            self.twice |= {there: None} if before and split and before != split else {}
            self.split_of[there] = max(before, split, key=("", *SPLITS).index)
        for place, what in _records(table["annotations"], f"{printable(path)}: annotations"):
            number, kind = _id(what.get("image_id")), _id(what.get("category_id"))
            if number not in pictures:
                self.unlisted += 1
            elif (picture := pictures[number]) is not None:
                if kind not in kinds:
                    raise UserError(f"{place}: no category has the id {printable(kind)}")
                self.rows[picture].append(_marked(kinds[kind], what, place, picture, sizes[picture]))

    def found(self, sizes: Mapping[Path, tuple[int, int]]) -> Found:
        """All together."""
        lost, twice = some(self.lost), some([picture.name for picture in self.twice])
        messages = {
            UNLISTED: self.unlisted,
            f"pictures listed and not there: {lost}": len(self.lost),
            f"pictures in files of two splits: {twice}": len(self.twice),
        }
        # An id that stands for other classes in other files names none.
        ids, known = Counter(number for _, number in self.called), Counter(kind for kind, _ in self.called)
        return Found(
            {picture: clipped(marked, *sizes[picture]) for picture, marked in self.rows.items()},
            self.files,
            {kind: number for kind, number in self.called if ids[number] == known[kind] == 1},
            {picture: split for picture, split in self.split_of.items() if split},
            [in_number(count, what) for what, count in messages.items() if count],
        )


def _table(path: Path) -> dict[str, Any] | None:
    """The file's lists, None where it is another JSON file."""
    if not start(path).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return None
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(
                f"{printable(path)} is larger than {LARGEST:,} bytes; move it out of the dataset, or cut it"
            )
        table = json.loads(regular(path).read_bytes())
    except (OSError, RecursionError):
        return None
    except ValueError as error:
        if not OPENING.search(start(path)):
            return None
        raise UserError(
            f"{printable(path)} looks like a label file of COCO and cannot be read as JSON in UTF-8: "
            f"{printable(first_line(error))}; export or copy it again, or move it out of the dataset"
        ) from None
    return table if all(isinstance(table.get(key), list) for key in KEYS) else None


def _records(values: list[Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, value in enumerate(values):
        if not isinstance(value, dict):
            raise UserError(f"{place}[{number}]: {printable(repr(value)[:80])} is no record")
        yield f"{place}[{number}]", value


def _kinds(categories: list[Any], place: str) -> dict[str, str]:
    """The name of each id."""
    kinds: dict[str, str] = {}
    for here, what in _records(categories, place):
        name = what.get("name")
        if not isinstance(name, str) or not name.strip():
            raise UserError(f"{here}: a category without a name")
        number = _id(what.get("id"))
        if kinds.setdefault(number, name.strip()) != name.strip():
            raise UserError(
                f"{here}: the id {printable(number)} stands for {printable(kinds[number])} and for {printable(name)}; "
                f"give each class an id of its own"
            )
    return kinds


def _pictures(
    images: list[Any], path: Path, names: Names, sizes: Mapping[Path, tuple[int, int]], split: str
) -> tuple[dict[str, Path | None], list[str]]:
    """The picture of each id, None where it is not there; and the names of those that are not."""
    picture_of: dict[str, Path | None] = {}
    lost = []
    for place, what in _records(images, f"{printable(path)}: images"):
        number, name = _id(what.get("id")), what.get("file_name")
        if not isinstance(name, str) or not name:
            raise UserError(f"{place}: a picture without a file_name")
        if number in picture_of:
            raise UserError(f"{place}: the id {printable(number)} is there twice")
        picture = picture_of[number] = names.match(name, place, path.parent, split)
        if picture is None:
            lost.append(name)
            continue
        stated = what.get("width") or sizes[picture][0], what.get("height") or sizes[picture][1]
        if tuple(map(_id, stated)) != tuple(map(_id, sizes[picture])):
            raise another_size(place, stated, picture, sizes[picture])
    return picture_of, lost


def _id(value: Any) -> str:
    """A number as a text, the same for 1, 1.0 and "1": programs that work with tables write whole numbers so."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _marked(kind: str, what: Mapping[str, Any], place: str, picture: Path, size: tuple[int, int]) -> Marked:
    """An object of a picture of this size (width, height). Masks of runs and crowds have no oriented box."""
    outline, odd = what.get("segmentation"), ""
    if outline:
        odd = OUTLINE
    if what.get("iscrowd"):
        odd = CROWD
    points = _points(outline) if isinstance(outline, list) and not what.get("iscrowd") else None
    corners = points and smallest_rectangle(points[::2], points[1::2])
    box = what.get("bbox")
    if box:  # an outline beside it that is none, as some programs write, is left aside
        x, y, width, height = _numbers(box, 4, f"{place}.bbox")
        return Marked(kind, (x, y, x + width, y + height), odd, corners or None)
    if isinstance(outline, dict):
        box = rle.enclosing(outline, f"{place}.segmentation")
        height, width = map(int, outline["size"])
        if (width, height) != size:
            raise another_size(f"{place}.segmentation", (width, height), picture, size)
        return Marked(kind, box, odd)
    if isinstance(outline, list) and outline:
        ends = [n for part in outline for n in _numbers(part, 0, f"{place}.segmentation")]
        return outlined(kind, ends[::2], ends[1::2], odd)._replace(corners=corners or None)
    raise UserError(f"{place}: an object with neither bbox nor segmentation")


def _points(outline: list[Any]) -> list[float] | None:
    """x, y, x, y, ... of all parts of an outline; None where one is malformed."""
    return [float(n) for part in outline for n in part] if all(_sound(part, 0) for part in outline) else None


def _sound(values: Any, count: int) -> bool:
    """Whether they are ``count`` numbers, or for 0 at least three pairs of them."""
    fits = isinstance(values, list) and (len(values) == count if count else len(values) >= 6 and len(values) % 2 == 0)
    return fits and all(isinstance(v, int | float) and abs(v) < 1e9 and math.isfinite(v) for v in values)


def _numbers(values: Any, count: int, place: str) -> list[float]:
    """``count`` numbers, or for 0 pairs of them."""
    if not _sound(values, count):
        expected = "[x, y, width, height]" if count else "[x1, y1, x2, y2, x3, y3, ...]"
        raise UserError(f"{place}: {printable(str(values)[:80])}; expected {expected} in pixels")
    return list(map(float, values))
