"""Splits that are given by the names of folders, and copies of a picture, told by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from raytune_planes.datasets.base import SPLITS, Sample
from raytune_planes.datasets.files import some
from raytune_planes.datasets.survey import Survey
from raytune_planes.errors import UserError
from raytune_planes.printing import counted

NAMES: Mapping[str, str] = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val"},
    **{"test": "test", "testing": "test"},
}
"""What folders of splits are called, in any case."""
YEAR = re.compile(r"[-_]?(19|20)\d\d")
"""Behind the name of a split, as in COCO's ``train2017``."""
COPY = re.compile(r"(?P<stem>.+?)(_(?P<suffix>[A-Za-z0-9]{3,4}))?\.(rf|(?P<ours>aug))\.[0-9A-Za-z]{8,}(?P<own>\.\w+)?")
"""An export of Roboflow: ``X_jpg.rf.HASH.jpg`` is ``X.jpg``, perhaps mirrored, turned or brightened; X has several. A
copy that ``augment`` wrote is ``X_jpg.aug.HASH.png``."""


def split_of(folder: str) -> str | None:
    """``"train"`` for a folder called ``Train``, ``training`` or ``train2017``; None for one that names no split."""
    name = folder.lower()
    year = YEAR.search(name)
    return NAMES.get(name[: year.start()] if year and year.end() == len(name) else name)


def of_class_folders(survey: Survey, base: Path, pictures: Sequence[Path]) -> tuple[dict[Path, str] | None, list[str]]:
    """The split of each of the ``pictures`` below ``base`` that lies in ``{split}/{class}/``, None without splits; and
    what was recognised.

    Pictures beside the splits' folders are left out, with that reason.

    Raises:
        UserError: the folders may be splits as well as classes.
    """
    below: dict[str, set[str]] = {}
    for path in pictures:
        top, *more = path.relative_to(base).parts[:-1] or ("",)
        below.setdefault(top, set()).update(more[:1])
    named = {top: split for top in below if (split := split_of(top)) and below[top]}
    strays = sorted(top for top in below if top and top not in named)
    if "train" not in named.values():
        if named and not strays:
            raise UserError(
                f"{base} holds {_folders(named)} and no train/; add it, or give the classes' folders without splits"
            )
        return None, []
    if len(set(named.values())) == 1 and strays:
        classes = set.union(*(below[top] for top in named))
        alike = [top for top in strays if len(below[top] & classes) > 1]
        if not alike:
            return None, []  # a class that is called "train"
        raise UserError(
            f"{base} holds {_folders(named)} and {_folders(alike)} with the same folders inside: are they splits or "
            f"classes? Name two splits or more (train/, val/, test/), or move away what does not belong to the dataset"
        )
    reason = f"pictures outside of {_folders(named)}, in a folder that names no split, left out"
    parts = {path: path.relative_to(base).parts for path in pictures}
    survey.leave(reason, [path for path, own in parts.items() if own[0] not in named])
    return _recognised(
        {p: named[own[0]] for p, own in parts.items() if own[0] in named and len(own) > 2}, sorted(named)
    )


def are_splits(folders: Iterable[str]) -> bool:
    """Whether the names are those of train and another split: nobody has two such classes."""
    named = {split_of(folder) for folder in folders}
    return "train" in named and bool({"val", "test"} & named)


def of_scenes(survey: Survey, pictures: Sequence[Path]) -> tuple[dict[Path, str] | None, list[str]]:
    """The split of each picture that lies in ``{split}/images/`` or ``images/{split}/``, as Roboflow and Ultralytics
    export, None where the folders name no train and another split; and what was recognised. What lies beside the splits
    is left out."""
    parts = {path: path.relative_to(survey.root).parts[:-1] for path in pictures}
    for level in range(max(map(len, parts.values()), default=0)):
        at = {path: split_of(own[level]) for path, own in parts.items() if len(own) > level}
        if "train" in at.values() and {"val", "test"} & set(at.values()):
            names = sorted({"/".join(parts[path][: level + 1]) for path, split in at.items() if split})
            reason = f"pictures outside of {_folders(names)}, in a folder that names no split, left out"
            survey.leave(reason, [path for path in pictures if not at.get(path)])
            return _recognised({path: split for path, split in at.items() if split}, names)
    return None, []


def source_name(name: str) -> str | None:
    """``X.jpg`` for the copy ``X_jpg.rf.0f3a….jpg``; None for a picture that is no copy by its name."""
    match = COPY.fullmatch(name)
    if match is None:
        return None
    suffix = f".{match['suffix']}" if match["suffix"] else match["own"] or ""
    return f"{match['stem']}{suffix}"


def is_augmented(name: str) -> bool:
    """Whether ``augment`` wrote this picture. Beside it lies its source, so it only trains: see ``trains_only``."""
    match = COPY.fullmatch(name)
    return match is not None and match["ours"] is not None


def augmented_name(source: str, key: str) -> str:
    """Of a copy of the picture ``source``, by a number of at least eight digits and letters that no other copy has."""
    stem, _, suffix = source.rpartition(".")
    return f"{stem}_{suffix}.aug.{key}.png" if stem and 3 <= len(suffix) <= 4 else f"{source}.aug.{key}.png"


def trains_only(
    samples: Sequence[Sample], parts: Mapping[str, Sequence[int]]
) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """``parts`` without the copies of ``augment`` in validation and test, and a warning where there were any.

    What is measured on changed pictures says nothing of real ones. They are not moved to training either: their source
    would then be on both sides.
    """
    kept = {
        split: tuple(i for i in parts[split] if split == "train" or not is_augmented(samples[i].path.name))
        for split in SPLITS
    }
    lost = sum(len(parts[split]) - len(kept[split]) for split in SPLITS)
    told = (
        f"{counted(lost, 'augmented copy', 'augmented copies')} of pictures in val or test, left out: copies only train"
    )
    return kept, [told] if lost else []


def copies_across(samples: Sequence[Sample], parts: Mapping[str, Sequence[int]]) -> list[str]:
    """Groups of copies, told by their names, that lie in several of the given splits."""
    where: dict[str, set[str]] = defaultdict(set)
    for split in SPLITS:
        for i in parts[split]:
            if source_name(samples[i].path.name):
                where[samples[i].group].add(split)
    return sorted(group for group, splits in where.items() if len(splits) > 1)


def copy_warnings(samples: Sequence[Sample], parts: Mapping[str, Sequence[int]]) -> list[str]:
    """A warning of ``copies_across``, where there are any."""
    copies = copies_across(samples, parts)
    if not copies:
        return []
    pictures = counted(len(copies), "picture")
    return [f"{pictures} with copies (.rf.) in several splits: {some(copies)}; a source belongs to one"]


def _recognised(split_of: dict[Path, str], names: Sequence[str]) -> tuple[dict[Path, str], list[str]]:
    counts = {s: sum(own == s for own in split_of.values()) for s in SPLITS}
    shown = ", ".join(f"{split} {count:,}" for split, count in counts.items())
    return split_of, [f"splits as the folders {_folders(names)} give them, in pictures: {shown}"]


def _folders(names: Sequence[str] | Mapping[str, str]) -> str:
    return ", ".join(f"{name}/" for name in sorted(names))
