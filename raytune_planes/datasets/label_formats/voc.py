"""Pascal VOC: an XML file for each picture, an element for each object with its box in pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path, PurePath
from xml.etree import ElementTree

from raytune_planes.datasets.files import some
from raytune_planes.datasets.labels import OUTLINE, Box, Found, another_size, clipped, enclosing
from raytune_planes.datasets.matching import Names
from raytune_planes.datasets.plain_xml import parsed
from raytune_planes.datasets.survey import Survey
from raytune_planes.errors import UserError
from raytune_planes.paths import start
from raytune_planes.printing import printable

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
        found.warnings.append(f"{len(lost):,} label file(s) are of no picture that is there: {some(lost)}")
    found.files = {*of_picture.values(), *lost}
    return found if found.files else None


def _size(tree: ElementTree.Element, side: str, place: str) -> float:
    """0 where the file does not tell it."""
    text = tree.findtext(f"size/{side}")
    return _number(text, f"{place}: size/{side}") if text else 0


def _object(tree: ElementTree.Element, place: str) -> tuple[str, Box, str]:
    """Class, box and what was odd. The format counts pixels from 1, and the last one is inside."""
    name = (tree.findtext("name") or "").strip()
    if not name:
        raise UserError(f"{place}: an object without a name")
    here = f"{place}: {printable(name)}"
    box, turned, outline = (tree.find(kind) for kind in ("bndbox", "robndbox", "polygon"))
    if box is not None:
        x0, y0, x1, y1 = (_number(box.findtext(corner), f"{here}: {corner}") for corner in CORNERS)
        return name, (x0 - 1, y0 - 1, x1, y1), "" if outline is None else OUTLINE
    if turned is not None:  # by radians, as roLabelImg writes
        x, y, w, h, angle = (_number(turned.findtext(part), f"{here}: {part}") for part in TURNED)
        cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
        across, down = w * cos + h * sin, w * sin + h * cos
        return name, (x - across / 2, y - down / 2, x + across / 2, y + down / 2), OUTLINE
    if outline is not None:
        xs, ys = ([_number(e.text, f"{here}: {e.tag}") for e in outline if e.tag.startswith(axis)] for axis in "xy")
        if len(xs) == len(ys) > 2:
            return name, enclosing(xs, ys), OUTLINE
    raise UserError(f"{here} has no bndbox with xmin, ymin, xmax and ymax")


def _number(text: str | None, place: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not abs(value) < 1e9:
        raise UserError(f"{place} is '{printable((text or '')[:40])}', and no number")
    return value
