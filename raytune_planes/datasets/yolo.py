"""The text files of a YOLO dataset: boxes of a picture, and the lists that name the pictures of each split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from raytune_planes.datasets import files
from raytune_planes.datasets.labels import Box
from raytune_planes.datasets.matching import Names
from raytune_planes.datasets.outlines import Corners
from raytune_planes.datasets.yolo_lines import read_boxes
from raytune_planes.errors import UserError
from raytune_planes.printing import counted

__all__ = ["Box", "assign", "find_lists", "label_files", "read_boxes", "write_boxes"]

FOLDERS = ("labels", "labelTxt", "labelTxt-v1.0", "labelTxt-v1.5", "annfiles")
"""What folders of label files are called in exports, DOTA's among them."""
LISTS: Mapping[str, tuple[str, ...]] = {
    "train": ("train.txt",),
    "val": ("validation.txt", "val.txt", "valid.txt"),
    "test": ("test.txt",),
}


def write_boxes(path: Path, boxes: Iterable[Box], width: int, height: int) -> None:
    """Write boxes in pixels as the lines of a label file, of class 0."""
    rows = [
        f"0 {(x0 + x1) / 2 / width:.6f} {(y0 + y1) / 2 / height:.6f} {(x1 - x0) / width:.6f} {(y1 - y0) / height:.6f}\n"
        for x0, y0, x1, y1 in boxes
    ]
    path.write_text("".join(rows), encoding="utf-8")


def write_corners(path: Path, corners: Iterable[Corners], width: int, height: int) -> None:
    """Write oriented boxes, by their corners in pixels, as the lines of a label file, of class 0."""
    size = (width, height) * 4
    rows = [" ".join(f"{value / whole:.6f}" for value, whole in zip(each, size, strict=True)) for each in corners]
    path.write_text("".join(f"0 {row}\n" for row in rows), encoding="utf-8")


def label_files(pictures: Iterable[Path], root: Path) -> dict[Path, Path]:
    """The label file of each picture that has one: beside it, or in a folder of labels at one of the usual places."""
    label_of, folders = {}, dict[Path, list[Path]]()
    for picture in pictures:
        if picture.parent not in folders:
            places = dict.fromkeys(place for place in _places(picture.parent, root) if place.is_relative_to(root))
            folders[picture.parent] = [place for place in places if place.is_dir()]
        paths = (place / f"{picture.stem}.txt" for place in folders[picture.parent])
        label_of[picture] = next((path for path in paths if path.is_file()), None)
    return {picture: path for picture, path in label_of.items() if path}


def _places(parent: Path, root: Path) -> Iterator[Path]:
    yield parent
    for name in FOLDERS:
        yield from (parent / name, parent.parent / name, parent.parent / name / parent.name)
        yield from (parent.parent.parent / name / parent.name, root / name)


def find_lists(paths: Sequence[Path]) -> dict[str, Path]:
    """The list of each split that has one among ``paths``; of several, the one nearest to the root.

    Pascal VOC has lists for several tasks side by side; those of objects lie in ``Main``."""
    by_name: dict[str, Path] = {}
    for path in sorted(paths, key=lambda p: (len(p.parts), p.parent.name != "Main", p)):
        by_name.setdefault(path.name.lower(), path)
    firsts = {split: next((by_name[n] for n in names if n in by_name), None) for split, names in LISTS.items()}
    return {split: path for split, path in firsts.items() if path is not None}


def assign(lists: Mapping[str, Path], pictures: Sequence[Path]) -> tuple[dict[Path, str], list[str]]:
    """The split of every listed picture, and what was odd about the lists.

    The paths in the lists are those of their author's machine, so pictures are matched by file name, also without its
    suffix or with one in another case. One that is in two lists goes to the later of train, val and test: what is
    tested must not be trained on.

    Raises:
        UserError: a list names no picture that is there, or a name fits several pictures.
    """
    names = Names(pictures)
    split_of: dict[Path, str] = {}
    lost: list[str] = []
    twice: list[str] = []
    for split, path in lists.items():
        entries = files.lines(path)
        matches = [names.match(entry, f"{path}:{number}", path.parent) for number, entry in entries]
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
        warnings.append(f"{counted(len(lost), 'listed picture')} not there: {files.some(lost)}")
    if twice:
        warnings.append(f"{counted(len(twice), 'picture')} in two lists, taken as the later says: {files.some(twice)}")
    return split_of, warnings
