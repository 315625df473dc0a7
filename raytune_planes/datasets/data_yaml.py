"""``data.yaml`` of a YOLO dataset, as Ultralytics and Roboflow write it: names of class ids, and folders of splits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from raytune_planes.datasets import yolo
from raytune_planes.datasets.base import SPLITS
from raytune_planes.datasets.files import some
from raytune_planes.datasets.survey import Survey
from raytune_planes.errors import UserError
from raytune_planes.printing import counted, printable
from raytune_planes.strict_yaml import strict_yaml

KEYS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")


def class_names(survey: Survey) -> dict[str, str]:
    """The names of the class ids; empty where no file tells them. The file is then read."""
    _, tree = _tree(survey)
    names = tree.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    return {str(k): str(v) for k, v in names.items()} if isinstance(names, dict) else {}


def keypoints(survey: Survey) -> int:
    """How many numbers behind each box tell of key points (``kpt_shape``); 0 where they are not told."""
    _, tree = _tree(survey)
    shape = tree.get("kpt_shape")
    sound = isinstance(shape, list) and len(shape) == 2 and all(isinstance(n, int) and 0 < n < 1000 for n in shape)
    return math.prod(shape) if sound and shape else 0


def splits(survey: Survey, pictures: Sequence[Path]) -> tuple[dict[Path, str] | None, list[str]]:
    """The split of each picture below the folders, or in the lists, that ``train``, ``val`` and ``test`` name; None
    where they name none that is there. And what was recognised.

    Paths are relative to ``path``, or to the file, or to the root. Roboflow writes ``../train/images`` for
    ``train/images``. A picture of two splits goes to the later one; but where a split names the pictures of train, as
    small examples do, it is not given.

    Raises:
        UserError: the file is no YAML of settings, or a list names no picture.
    """
    path, tree = _tree(survey)
    named = {split: next((tree[key] for key in keys if tree.get(key)), None) for split, keys in KEYS.items()}
    if path is None or not any(named.values()):
        return None, []
    split_of: dict[Path, str] = {}
    messages, lost, shown = [], [], printable(path.name)
    for split, places in named.items():
        mine: set[Path] = set()
        for place in places if isinstance(places, list) else [places] if places else []:
            listed, warnings = _below(survey, path.parent, str(tree.get("path") or ""), str(place), pictures)
            lost += [] if listed else [f"{split}: {place}"]
            mine |= listed
            messages += warnings
        of_train = {picture for picture, own in split_of.items() if own == "train"}
        if split != "train" and of_train and mine >= of_train:
            messages.append(f"{shown} names the pictures of train for {split} as well; they stay in train")
            continue
        split_of |= dict.fromkeys(mine, split)
    if lost:
        messages.append(
            f"{counted(len(lost), 'entry', 'entries')} of {shown} without a picture of the dataset: {some(lost)}"
        )
    if "train" not in split_of.values():
        return None, messages
    counts = ", ".join(f"{split} {sum(own == split for own in split_of.values()):,}" for split in SPLITS)
    reason = f"pictures in no split of {shown}, left out"
    survey.leave(reason, [picture for picture in pictures if picture not in split_of])
    return split_of, [f"splits as {shown} gives them, in pictures: {counts}", *messages]


def _tree(survey: Survey) -> tuple[Path | None, dict[str, Any]]:
    """The file nearest to the root and what it says."""
    paths = [path for path in survey.files if path.name.lower() in FILES]
    if not paths:
        return None, {}
    path = min(paths, key=lambda p: len(p.parts))
    survey.read([path])
    try:
        return path, strict_yaml(path.read_text(encoding="utf-8-sig"), printable(path), "class names and folders")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{printable(path)} cannot be read: {error}") from None


def _below(
    survey: Survey, folder: Path, base: str, place: str, pictures: Sequence[Path]
) -> tuple[set[Path], list[str]]:
    """The pictures in the folder that ``place`` names, or in the list, or the picture itself; and warnings."""
    files = set(survey.files)
    for candidate in _candidates(survey.root, folder, base, place):
        if candidate.suffix.lower() == ".txt" and candidate in files:
            survey.read([candidate])
            listed, warnings = yolo.assign({"train": candidate}, pictures)
            return set(listed), warnings
        inside = {picture for picture in pictures if picture.is_relative_to(candidate)}
        if inside:
            return inside, []
    return set(), []


def _candidates(root: Path, folder: Path, base: str, place: str) -> Iterator[Path]:
    own = PurePosixPath(place.replace("\\", "/"))
    parts = [part for part in own.parts if part not in ("..", ".", "/")]
    starts = [folder / base, root / base, root / PurePosixPath(base).name, folder, root]
    for start in dict.fromkeys(starts):
        for path in (start / own, start.joinpath(*parts)):
            inside = Path(*(_normal(path)))
            if inside.is_relative_to(root):
                yield inside


def _normal(path: Path) -> list[str]:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and len(parts) > 1:
            parts.pop()
        elif part != "..":
            parts.append(part)
    return parts
