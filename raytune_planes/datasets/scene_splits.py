"""Which split each scene belongs to, as a dataset's own files and folders tell it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raytune_planes.datasets import data_yaml, split_folders, yolo
from raytune_planes.datasets.base import SPLITS
from raytune_planes.datasets.labels import Found
from raytune_planes.datasets.survey import Survey
from raytune_planes.errors import UserError

LIST_NAMES = {"train": "train.txt", "val": "validation.txt", "test": "test.txt"}


def given(survey: Survey, pictures: Sequence[Path], found: Found) -> tuple[dict[Path, str] | None, list[str]]:
    """The split of each picture that is used, None where nothing tells it; and warnings.

    The first of these counts: ``data.yaml``, lists of pictures, folders of splits, and the label files' own names.
    What they leave out is left out.

    Raises:
        UserError: a list is malformed, or there is one and none for train.
    """
    described, recognised = data_yaml.splits(survey, pictures)
    if described is not None:
        return described, recognised
    lists = yolo.find_lists([path for path in survey.files if path not in found.files])
    if lists:
        if "train" not in lists:
            raise UserError(
                f"{survey.root} holds {', '.join(p.name for p in lists.values())} but not {LIST_NAMES['train']}; add "
                f"it, or remove the lists to have the scenes split at random"
            )
        split_of, warnings = yolo.assign(lists, pictures)
        survey.read(lists.values())
        survey.leave("pictures in no list, left out", [p for p in pictures if p not in split_of])
        return split_of, [*recognised, *warnings]
    folders, more = split_folders.of_scenes(survey, pictures)
    recognised += more
    if folders is not None:
        return folders, recognised
    named = set(found.split_of.values())
    if "train" in named and named & {"val", "test"}:
        counts = ", ".join(f"{split} {sum(own == split for own in found.split_of.values()):,}" for split in SPLITS)
        survey.leave("pictures in no label file of a split, left out", set(pictures) - set(found.split_of))
        return found.split_of, [*recognised, f"splits as the names of the label files tell them, in pictures: {counts}"]
    return None, [*recognised, "no lists of splits; scenes were split 80/10/10"]
