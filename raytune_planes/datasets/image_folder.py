"""Anybody's own pictures: a folder per class, masks and fixed splits where there are any."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from raytune_planes.datasets import files, images, layouts, picture_lists, split_folders, splits
from raytune_planes.datasets.base import SPLITS, Info, Listing, Reader, Sample
from raytune_planes.datasets.survey import Survey, left_out_warnings
from raytune_planes.errors import UserError
from raytune_planes.printing import counted, printable

TOP_K_FROM = 10
"""Above this many classes the top-5 accuracy is reported as well."""
MASKS_ALONE = (
    "There are masks. Masks without classes cannot be trained: sort the pictures, and their masks alike, into two or "
    "more class folders, or name the class of each picture in labels.csv."
)
"""What a dataset for segmentation alone lacks."""


class ImageFolder(Reader):
    """The class is the folder's name. Pictures in one folder below a class are one group, any other is its own.

    Without folders of splits, groups are split 80/10/10. Where only ``val`` or ``test`` is missing, it is taken from
    ``train`` by group. A picture without a mask, where others have one, shows no object.
    """

    name: ClassVar[str] = "image_folder"
    source: ClassVar[str] = "your own pictures; datasets.<name>.root names the folder"
    layout: ClassVar[str] = """
        DIR/
            {class}/x.jpg                              (or images/{class}/x.jpg; any picture format)
            {class}/{scene}/x.jpg                      (pictures of one scene stay in one split)
            masks/{class}/x.png                        (optional: 0 and 1, or 0 and 255; the same path as the picture's)
            train/{class}/x.jpg, val/…, test/…         (instead: fixed splits; masks then in masks/train/{class}/x.png)
            labels.csv                                 (instead of class folders: lines filename,label[,split])
    """

    _masked = False
    """Whether the last scan found masks."""

    def scan(self) -> Listing:
        root = files.expect_root(self)
        survey = Survey(root, self.options.links)
        base = root / "images" if (root / "images").is_dir() else root
        masks = {
            path.relative_to(root / "masks").with_suffix("").as_posix(): path
            for path in survey.pictures
            if path.is_relative_to(root / "masks")
        }
        self._masked = bool(masks)
        pictures = [p for p in survey.pictures if p.is_relative_to(base) and not p.is_relative_to(root / "masks")]
        if base != root:
            elsewhere = [p for p in survey.pictures if not p.is_relative_to(base)]
            survey.leave("pictures outside of images/, left out", set(elsewhere) - set(masks.values()))
        labelled = self._labelled(survey, base, pictures)
        classes = labelled.classes
        samples = tuple(
            Sample(path, classes.index(name), group, mask=masks.get(path.relative_to(base).with_suffix("").as_posix()))
            for path, name, group in labelled.rows
        )
        given = [labelled.split_of[path] for path, _, _ in labelled.rows] if labelled.split_of else []
        parts, warnings = self._splits(samples, given)
        parts, left = split_folders.trains_only(samples, parts)
        warnings = [
            *labelled.warnings,
            *warnings,
            *left,
            *_unmasked(root / "masks", masks, samples),
            *self._lacking(samples, parts, classes),
            *split_folders.copy_warnings(samples, parts),
        ]
        survey.read([*(s.path for s in samples), *(s.mask for s in samples if s.mask)])
        survey.leave("masks with the path of no picture", masks.values())
        survey.leave("pictures in no class folder, left out", pictures)
        account = survey.account()
        info = Info(
            self.name_in_study,
            tuple(map(printable, classes)),
            tuple(f"a picture of {printable(name).replace('_', ' ')}" for name in classes),
            has_masks=bool(masks),
            top_k=5 if len(classes) > TOP_K_FROM else 0,
        )
        warnings += left_out_warnings(account.left_out)
        return Listing(info, samples, parts, tuple(warnings), survey.synthetic, account=account)

    def _labelled(self, survey: Survey, base: Path, pictures: Sequence[Path]) -> _Labelled:
        """The pictures of class folders; where there are none, those of a list.

        Raises:
            UserError: fewer than two classes.
        """
        layouts.refuse_doubled_splits(base, pictures)
        given, recognised = split_folders.of_class_folders(survey, base, pictures)
        depth = 0 if given is None else 1
        chosen = [
            (path, parts)
            for path in (pictures if given is None else given)
            if len(parts := path.relative_to(base).parts) > depth + 1
        ]
        labelled = _Labelled(
            [(path, parts[depth], _group(parts, depth)) for path, parts in chosen], given or {}, recognised
        )
        flat = given is None and split_folders.are_splits(set(labelled.classes))
        if flat or len(labelled.classes) < 2:
            listed = picture_lists.read(survey, pictures)
            if listed is not None:
                rows = [(p, name, _source(p.relative_to(base).parts)) for p, name in listed.label_of.items()]
                labelled, flat = _Labelled(rows, listed.split_of, listed.warnings), False
                survey.leave("pictures in no list, left out", pictures)
        if flat or len(labelled.classes) < 2:
            setting = f"datasets.{self.name_in_study}"
            folders = counted(len(labelled.classes), "folder")
            raise files.absent(
                self,
                f"{base} holds the splits {files.some(labelled.classes)} and no folders of classes inside"
                if flat
                else f"{base} holds {folders} of pictures; at least two classes are needed",
                MASKS_ALONE if self._masked else "",
                layouts.recognised(survey, setting) or layouts.too_deep(base, pictures, setting),
            )
        return labelled

    def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray | None]:
        pixels_HWC = self.show(sample.path)
        if sample.mask is None:
            return pixels_HWC, np.zeros((self.image_size, self.image_size), np.uint8) if self._masked else None
        mask = images.decode(sample.mask, most=self.options.max_pixels, values=(0, 255))
        width, height = self.size(sample)
        if (mask.width, mask.height) != (width, height):
            raise UserError(
                f"{sample.mask} is {mask.width} x {mask.height} pixels and its picture {width} x {height}; "
                f"a mask has the size of its picture"
            )
        return pixels_HWC, self.options.framing.mask(_inside(mask.image), self.image_size)

    def _splits(self, samples: Sequence[Sample], given: Sequence[str]) -> tuple[dict[str, tuple[int, ...]], list[str]]:
        """The indexes of each split, and what was taken from where."""
        warnings: list[str] = []
        if not given:
            parts = splits.by_group([s.group for s in samples], [s.label for s in samples], seed=self.seed)
        else:
            parts, warnings = splits.completed(
                given, [s.group for s in samples], [s.label for s in samples], seed=self.seed
            )
        if not all(parts[split] for split in SPLITS):
            groups = counted(len({s.group for s in samples}), "group")
            raise UserError(
                f"{self.root}: {counted(len(samples), 'picture')} in {groups} cannot be split into train, val and test;"
                f" give more pictures, or folders train/, val/ and test/"
            )
        return parts, warnings

    def _lacking(
        self, samples: Sequence[Sample], parts: Mapping[str, Sequence[int]], classes: Sequence[str]
    ) -> list[str]:
        """Classes that a split does not show."""
        out = []
        for split in SPLITS:
            there = {samples[i].label for i in parts[split]}
            absent = [name for label, name in enumerate(classes) if label not in there]
            out += [f"{split} has no picture of {files.some(absent)}"] if absent else []
        return out


@dataclass(frozen=True)
class _Labelled:
    """The pictures that have a class: by folders, or by a list."""

    rows: Sequence[tuple[Path, str, str]]
    """Path, class and group of each."""
    split_of: Mapping[Path, str]
    """Empty where no splits are given."""
    warnings: Sequence[str]

    @property
    def classes(self) -> list[str]:
        return sorted({name for _, name, _ in self.rows}, key=os.fsencode)


def _unmasked(folder: Path, masks: Mapping[str, Path], samples: Sequence[Sample]) -> list[str]:
    """A warning of pictures without a mask where others have one. Raises UserError where no mask has a picture."""
    count = sum(sample.mask is None for sample in samples)
    if masks and count == len(samples):
        raise UserError(f"{folder}: none of its {len(masks):,} masks has the path of a picture")
    return [f"{counted(count, 'picture')} without a mask, counted as empty"] if masks and count else []


def _group(parts: Sequence[str], depth: int) -> str:
    """A scene may show several classes, so its name alone is the group. Copies have the name of their source."""
    scene = "/".join(parts[depth + 1 : -1])
    return scene or _source(parts if split_folders.source_name(parts[-1]) is None else parts[depth:])


def _source(parts: Sequence[str]) -> str:
    """The path of a picture; of a copy that of its source."""
    return "/".join([*parts[:-1], split_folders.source_name(parts[-1]) or parts[-1]])


def _inside(image: Image.Image) -> np.ndarray:
    """Where a mask shows its object: bool [H, W]."""
    values_HW: np.ndarray = np.asarray(image).max(2)
    return values_HW > (127 if values_HW.max() > 1 else 0)
