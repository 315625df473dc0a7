"""The text files of a YOLO dataset: boxes of a picture, and the lists that name the pictures of each split."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from raytune_planes.datasets import files
from raytune_planes.errors import UserError

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

LISTS: Mapping[str, tuple[str, ...]] = {
    "train": ("train.txt",),
    "val": ("validation.txt", "val.txt", "valid.txt"),
    "test": ("test.txt",),
}


def read_boxes(path: Path, width: int, height: int) -> tuple[Box, ...]:
    """The boxes of a label file in pixels of its picture, clipped to it; blank lines hold none.

    A line is ``class x y w h``: the centre and the size as fractions of the picture.

    Raises:
        UserError: a line is not of that form; names file and line.
    """
    boxes = []
    for number, line in files.lines(path):
        x, y, w, h = _fractions(line, f"{path}:{number}")
        left, top = max(0.0, (x - w / 2) * width), max(0.0, (y - h / 2) * height)
        right, bottom = min(float(width), (x + w / 2) * width), min(float(height), (y + h / 2) * height)
        if right > left and bottom > top:
            boxes.append((left, top, right, bottom))
    return tuple(boxes)


def write_boxes(path: Path, boxes: Iterable[Box], width: int, height: int) -> None:
    """Write boxes in pixels as the lines of a label file, of class 0."""
    rows = [
        f"0 {(x0 + x1) / 2 / width:.6f} {(y0 + y1) / 2 / height:.6f} {(x1 - x0) / width:.6f} {(y1 - y0) / height:.6f}\n"
        for x0, y0, x1, y1 in boxes
    ]
    path.write_text("".join(rows), encoding="utf-8")


def label_file(picture: Path, root: Path) -> Path | None:
    """Where a picture's labels are: beside it, or in a ``labels`` folder at one of the usual places."""
    name, parent = f"{picture.stem}.txt", picture.parent
    places = [parent, parent / "labels", parent.parent / "labels", parent.parent / "labels" / parent.name]
    places += [parent.parent.parent / "labels" / parent.name, root / "labels"]
    inside = (place / name for place in places if place.is_relative_to(root))
    return next((path for path in inside if path.is_file()), None)


def find_lists(found: Sequence[Path]) -> dict[str, Path]:
    """The list of each split that has one among ``found``; of several, the one nearest to the root."""
    by_name: dict[str, Path] = {}
    for path in sorted(found, key=lambda p: (len(p.parts), p)):
        by_name.setdefault(path.name.lower(), path)
    firsts = {split: next((by_name[n] for n in names if n in by_name), None) for split, names in LISTS.items()}
    return {split: path for split, path in firsts.items() if path is not None}


def assign(lists: Mapping[str, Path], pictures: Sequence[Path]) -> tuple[dict[Path, str], list[str]]:
    """The split of every listed picture, and what was odd about the lists.

    The paths in the lists are those of their author's machine, so pictures are matched by file name. One that is in
    two lists goes to the later of train, val and test: what is tested must not be trained on.

    Raises:
        UserError: a list names no picture that is there, or a name fits several pictures.
    """
    named: dict[str, list[Path]] = defaultdict(list)
    for picture in pictures:
        named[picture.name].append(picture)
    split_of: dict[Path, str] = {}
    lost: list[str] = []
    twice: list[str] = []
    for split, path in lists.items():
        entries = files.lines(path)
        matches = [_match(entry, named, f"{path}:{number}") for number, entry in entries]
        lost += [entry for (_, entry), match in zip(entries, matches, strict=True) if match is None]
        if not any(matches):
            raise UserError(
                f"{path} names no picture that is there; it lists {files.some([e for _, e in entries]) or 'none'}"
            )
        for match in matches:
            if match is not None:
                twice += [match.name] if split_of.get(match, split) != split else []
                split_of[match] = split
    warnings = []
    if lost:
        warnings.append(f"{len(lost):,} listed picture(s) are not there: {files.some(lost)}")
    if twice:
        warnings.append(f"{len(twice):,} picture(s) are in two lists and went to the later: {files.some(twice)}")
    return split_of, warnings


def _match(entry: str, named: Mapping[str, Sequence[Path]], place: str) -> Path | None:
    parts = PurePosixPath(entry.replace("\\", "/")).parts or (entry,)  # "." has none
    fits = named.get(parts[-1], ())
    if len(fits) < 2:
        return fits[0] if fits else None

    def agreement(path: Path) -> int:
        pairs = zip(path.parts[::-1], parts[::-1], strict=False)
        return next((n for n, (a, b) in enumerate(pairs) if a != b), len(parts))

    ranked = sorted(fits, key=agreement, reverse=True)
    if agreement(ranked[0]) == agreement(ranked[1]):
        raise UserError(f"{place}: '{entry}' fits several pictures: {files.some(ranked)}; keep one of them")
    return ranked[0]


def _fractions(line: str, place: str) -> tuple[float, float, float, float]:
    expected = "expected 'class x y width height' with fractions of the picture, e.g. '0 0.5 0.5 0.1 0.1'"
    try:
        kind, *numbers = line.split()
        x, y, w, h = (float(number) for number in numbers)
        int(kind)
    except ValueError:
        raise UserError(f"{place}: '{line[:80]}' is no box; {expected}") from None
    if not all(math.isfinite(v) and -1 <= v <= 2 for v in (x, y, w, h)) or w < 0 or h < 0:
        raise UserError(f"{place}: '{line[:80]}' lies outside of the picture; {expected}")
    return x, y, w, h
