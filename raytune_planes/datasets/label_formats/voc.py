"""Pascal VOC: an XML file for each picture, an element for each object with its box in pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path, PurePath
from xml.etree import ElementTree

from raytune_planes.datasets.files import some
from raytune_planes.datasets.labels import Found, Marked, another_size, clipped, outlined
from raytune_planes.datasets.matching import Names
from raytune_planes.datasets.plain_xml import parsed
from raytune_planes.datasets.survey import Survey
from raytune_planes.errors import UserError
from raytune_planes.paths import start
from raytune_planes.printing import counted, printable

CORNERS = ("xmin", "ymin", "xmax", "ymax")
TURNED = ("cx", "cy", "w", "h", "angle")


def looks(path: Path) -> bool:
    """Whether the file is of this format."""
    return path.suffix.lower() == ".xml" and b"<annotation" in start(path)


def read(survey: Survey, sizes: Mapping[Path, tuple[int, int]]) -> Found | None:
    """The boxes of the pictures that have an XML file; None where there is no such file.

    Raises:
        UserError: a file is malformed or declares a document type, two are of one picture, or a picture has another
            size than its file says.
    """
    found, names, lost = Found(), Names(sizes), list[Path]()
    of_picture: dict[Path, Path] = {}
    for path in filter(looks, survey.files):
        place, tree = printable(path), parsed(path)
        # Programs name the file after its picture; the name inside is often one from before, but where it has the same
        # stem, its suffix tells the picture from masks of the same name.
        inside = (tree.findtext("filename") or "").strip()
        stem = inside if PurePath(inside).stem == path.stem else path.stem
        picture = names.match(stem, place, path.parent) or names.match(inside, place, path.parent)
        if picture is None:
            lost.append(path)
            continue
        if picture in of_picture:
            first = printable(of_picture[picture])
            raise UserError(f"{place}: {printable(picture.name)} has a second label file, {first}; remove one")
        of_picture[picture] = path
        size = sizes[picture]
        stated = _size(tree, "width", place) or size[0], _size(tree, "height", place) or size[1]
        if stated != size:
            raise another_size(place, stated, picture, size)
        found.labels_of[picture] = clipped([_object(each, place) for each in tree.iter("object")], *size)
    if lost:
        found.warnings.append(f"{counted(len(lost), 'label file')} of no picture that is there: {some(lost)}")
    found.files = {*of_picture.values(), *lost}
    return found if found.files else None


def _size(tree: ElementTree.Element, side: str, place: str) -> float:
    """0 where the file does not tell it."""
    text = tree.findtext(f"size/{side}")
    return _number(text, f"{place}: size/{side}") if text else 0


def _object(tree: ElementTree.Element, place: str) -> Marked:
    """The format counts pixels from 1, and the last one is inside."""
    name = (tree.findtext("name") or "").strip()
    if not name:
        raise UserError(f"{place}: an object without a name")
    here = f"{place}: {printable(name)}"
    box, turned, outline = (tree.find(kind) for kind in ("bndbox", "robndbox", "polygon"))
    if box is not None:
        x0, y0, x1, y1 = (_number(box.findtext(corner), f"{here}: {corner}") for corner in CORNERS)
        around = x0 - 1, y0 - 1, x1, y1
        return Marked(name, around) if outline is None else _outlined(name, outline, here)._replace(box=around)
    if turned is not None:  # by radians, as roLabelImg writes
        x, y, w, h, angle = (_number(turned.findtext(part), f"{here}: {part}") for part in TURNED)
        cos, sin = math.cos(angle) / 2, math.sin(angle) / 2
        ends = ((-1, -1), (1, -1), (1, 1), (-1, 1))
        xs, ys = [x + a * w * cos - b * h * sin for a, b in ends], [y + a * w * sin + b * h * cos for a, b in ends]
        return outlined(name, xs, ys)
    if outline is not None:
        return _outlined(name, outline, here)
    raise UserError(_no_box(here))


def _outlined(name: str, outline: ElementTree.Element, here: str) -> Marked:
    xs, ys = ([_number(e.text, f"{here}: {e.tag}") for e in outline if e.tag.startswith(axis)] for axis in "xy")
    if not len(xs) == len(ys) > 2:
        raise UserError(_no_box(here))
    return outlined(name, xs, ys)


def _no_box(here: str) -> str:
    return f"{here} has no bndbox with xmin, ymin, xmax and ymax"


def _number(text: str | None, place: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not abs(value) < 1e9:
        raise UserError(f"{place} is '{printable((text or '')[:40])}', and no number")
    return value
