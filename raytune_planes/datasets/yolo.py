"""The text files of a YOLO dataset: boxes of a picture, and the lists that name the pictures of each split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from raytune_planes.datasets import files
from raytune_planes.datasets.survey import Survey
from raytune_planes.datasets.yolo_lines import Box, read_boxes
from raytune_planes.errors import UserError
from raytune_planes.strict_yaml import strict_yaml

__all__ = ["Box", "assign", "class_names", "find_lists", "label_file", "read_boxes", "write_boxes"]

DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml")
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


def label_file(picture: Path, root: Path) -> Path | None:
    """Where a picture's labels are: beside it, or in a ``labels`` folder at one of the usual places."""
    name, parent = f"{picture.stem}.txt", picture.parent
    places = [parent, parent / "labels", parent.parent / "labels", parent.parent / "labels" / parent.name]
    places += [parent.parent.parent / "labels" / parent.name, root / "labels"]
    inside = (place / name for place in places if place.is_relative_to(root))
    return next((path for path in inside if path.is_file()), None)


def find_lists(paths: Sequence[Path]) -> dict[str, Path]:
    """The list of each split that has one among ``found``; of several, the one nearest to the root."""
    by_name: dict[str, Path] = {}
    for path in sorted(paths, key=lambda p: (len(p.parts), p)):
        by_name.setdefault(path.name.lower(), path)
    firsts = {split: next((by_name[n] for n in names if n in by_name), None) for split, names in LISTS.items()}
    return {split: path for split, path in firsts.items() if path is not None}


def class_names(survey: Survey) -> dict[int, str]:
    """The names of the class ids, as ``data.yaml`` gives them; empty where none does. The file is then read."""
    path = next((path for path in survey.files if path.name.lower() in DESCRIPTIONS), None)
    if path is None:
        return {}
    survey.read([path])
    try:
        names = strict_yaml(path.read_text(encoding="utf-8"), str(path), "class names")["names"]
        return {int(k): str(v) for k, v in (names.items() if isinstance(names, dict) else enumerate(names))}
    except (UserError, OSError, ValueError, TypeError, KeyError):
        return {}  # only for messages


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
