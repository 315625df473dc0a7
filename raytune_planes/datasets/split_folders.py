"""Splits that are given by the names of folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from raytune_planes.datasets.survey import Survey
from raytune_planes.errors import UserError

NAMES: Mapping[str, str] = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val"},
    **{"test": "test", "testing": "test"},
}
"""What folders of splits are called, in any case."""


def of_class_folders(survey: Survey, base: Path, pictures: Sequence[Path]) -> dict[Path, str] | None:
    """The split of each of the ``pictures`` below ``base`` that lies in ``{split}/{class}/``; None without splits.

    Pictures beside the splits' folders are left out, with that reason.

    Raises:
        UserError: the folders may be splits as well as classes.
    """
    below: dict[str, set[str]] = {}
    for path in pictures:
        top, *more = path.relative_to(base).parts[:-1] or ("",)
        below.setdefault(top, set()).update(more[:1])
    named = {top: NAMES[top.lower()] for top in below if top.lower() in NAMES and below[top]}
    strays = sorted(top for top in below if top and top not in named)
    if "train" not in named.values():
        if named and not strays:
            raise UserError(
                f"{base} holds {_folders(named)} and no train/; add it, or give the classes' folders without splits"
            )
        return None
    if len(set(named.values())) == 1 and strays:
        classes = set.union(*(below[top] for top in named))
        alike = [top for top in strays if len(below[top] & classes) > 1]
        if not alike:
            return None  # a class that is called "train"
        raise UserError(
            f"{base} holds {_folders(named)} and {_folders(alike)} with the same folders inside: are they splits or "
            f"classes? Name two splits or more (train/, val/, test/), or move away what does not belong to the dataset"
        )
    reason = f"picture(s) lie beside {_folders(named)}, in a folder that names no split, and were left out"
    survey.leave(reason, [path for path in pictures if path.relative_to(base).parts[0] not in named])
    return {path: named[top] for path in pictures if (top := path.relative_to(base).parts[0]) in named}


def _folders(names: Sequence[str] | Mapping[str, str]) -> str:
    return ", ".join(f"{name}/" for name in sorted(names))
