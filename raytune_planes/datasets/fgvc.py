"""FGVC-Aircraft: photographs of aircraft variants that look alike, in a tree of families and manufacturers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from raytune_planes.datasets import fgvc_labels, files, images, layouts
from raytune_planes.datasets.base import SPLITS, Info, Listing, Reader, Sample
from raytune_planes.datasets.fgvc_labels import LEVELS, Box, Labels
from raytune_planes.datasets.survey import Survey, left_out_warnings
from raytune_planes.errors import UserError
from raytune_planes.printing import counted

IMAGES = "images"
"""The folder of the pictures beside the label files."""
BANNER = 20
"""Rows at the bottom of every picture that hold the photographer's name: they must not be learnt from."""


@dataclass(frozen=True)
class Variant:
    """A class and where it stands in the tree."""

    name: str
    family: str
    manufacturer: str


@dataclass(frozen=True)
class Photo:
    """One picture of the set."""

    id: str
    image_HWC: np.ndarray
    """uint8 RGB, without the banner."""
    variant: str
    split: str
    box: Box
    """Left, top, right, bottom in pixels from 0."""


class FGVCAircraft(Reader):
    """Keeps the official splits. Pictures are scaled to a square whatever their shape, so that no wing tip is cut off,
    unless a setting says otherwise."""

    name: ClassVar[str] = "fgvc"
    source: ClassVar[str] = (
        "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/ (Maji et al. 2013, non-commercial research only); "
        "unpack fgvc-aircraft-2013b.tar.gz there"
    )
    layout: ClassVar[str] = """
        fgvc-aircraft-2013b/
            data/
                images/{id}.jpg
                variants.txt, families.txt, manufacturers.txt
                images_variant_{train,val,test}.txt    (and images_family_..., images_manufacturer_...)
                images_box.txt
    """
    trim_bottom: ClassVar[int] = BANNER
    boxed: ClassVar[bool] = True

    def scan(self) -> Listing:
        root = files.expect_root(self)
        survey = Survey(root, self.options.links)
        folder, labels = self._labels(survey)
        picture_of = self._pictures(survey, folder, labels)
        lost = [picture for picture in labels.variant_of if picture not in picture_of]
        if len(lost) == len(labels.variant_of):
            raise files.absent(self, f"{root} holds labels of {counted(len(lost), 'picture')} and none of the pictures")
        if lost:
            raise UserError(
                f"{labels.place_of[lost[0]]}: no picture {lost[0]} below {root}; "
                f"{len(lost):,} of {len(labels.variant_of):,} are missing; unpack the archive again"
            )
        samples = [
            Sample(
                picture_of[picture], label, picture, boxes=(labels.boxes[picture],) if picture in labels.boxes else ()
            )
            for picture, label in labels.variant_of.items()
        ]
        unboxed = [sample.path.name for sample in samples if not sample.boxes]
        if self.options.framing.to_box and unboxed:
            boxes = f"datasets.{self.name_in_study}.crop_to_box: the label files in {folder} tell the box of"
            if len(unboxed) == len(samples):
                raise UserError(f"{boxes} no picture; add images_box.txt of the original, or leave the setting out")
            labels.warnings.append(
                f"{counted(len(unboxed), 'picture')} without a box, shown whole: {files.some(unboxed)}"
            )
        parts = {s: tuple(i for i, p in enumerate(labels.variant_of) if labels.split_of[p] == s) for s in SPLITS}
        survey.read([*(s.path for s in samples), *filter(fgvc_labels.is_label_file, survey.files)])
        account = survey.account()
        return Listing(
            info(self.name_in_study, labels),
            tuple(samples),
            parts,
            (*labels.warnings, *left_out_warnings(account.left_out)),
            survey.synthetic,
            account=account,
        )

    def load(self, sample: Sample) -> tuple[np.ndarray, None]:
        return self.show(sample.path, box=sample.boxes[0] if sample.boxes else None), None

    def whole(self, sample: Sample) -> images.Picture:
        """Without the banner: it differs between copies."""
        picture = super().whole(sample)
        return picture.without_rows(min(BANNER, picture.height - 1))

    def _labels(self, survey: Survey) -> tuple[Path, Labels]:
        """The folder of the label files, and what they say."""
        shallow = sorted(survey.files, key=lambda path: (len(path.parts), path))
        for name, read in (("variants.txt", fgvc_labels.read), ("train.csv", fgvc_labels.read_csv)):
            folder = next((path.parent for path in shallow if path.name == name), None)
            if folder is not None:
                return folder, read(folder)
        instead = layouts.recognised(survey, f"datasets.{self.name_in_study}")
        raise files.absent(self, f"{self.root} holds no variants.txt", instead)

    def _pictures(self, survey: Survey, folder: Path, labels: Labels) -> dict[str, Path]:
        """Picture id -> its file. Where several folders hold it, the right one is in ``images/`` beside the labels.

        Raises:
            UserError: several folders hold the labelled pictures, and none of them is ``images/``.
        """
        of_id: dict[str, list[Path]] = defaultdict(list)
        for path in survey.pictures:
            if path.stem in labels.variant_of:
                of_id[path.stem].append(path)
        chosen = {}
        for picture, paths in of_id.items():
            ours = [path for path in paths if path.is_relative_to(folder / IMAGES)] if len(paths) > 1 else paths
            if len(ours) != 1:
                raise UserError(
                    f"picture {picture} is there {len(paths)} times: {files.some(paths)}; keep one of them, or put the "
                    f"pictures that count into {folder / IMAGES}"
                )
            chosen[picture] = ours[0]
            survey.leave(f"pictures present again outside of {IMAGES}/, left out", set(paths) - set(ours))
        return chosen


def info(name: str, labels: Labels) -> Info:
    """Classes in the order of ``variants.txt``, a sentence for each, and the tree above them."""
    parents = {
        level: tuple(labels.order[level].index(parent) for parent in of_class)
        for level, of_class in labels.parents.items()
    }
    prompts = tuple(
        _prompt(variant, {level: of_class[n] for level, of_class in labels.parents.items()})
        for n, variant in enumerate(labels.variants)
    )
    return Info(name, labels.variants, prompts, parents=parents, top_k=5)


def write(root: Path, photos: Iterable[Photo], tree: Sequence[Variant], *, quality: int = 90) -> None:
    """Write pictures with a banner below, and every label file of the original."""
    data = root / "data"
    (data / "images").mkdir(parents=True, exist_ok=True)
    of_name = {variant.name: variant for variant in tree}
    labelled: dict[str, list[Photo]] = {split: [] for split in SPLITS}
    for photo in photos:
        width = photo.image_HWC.shape[1]
        banner = np.full((BANNER, width, 3), 245, np.uint8)
        banner[6:14, 4 : width // 2 : 3] = 40
        Image.fromarray(np.concatenate([photo.image_HWC, banner])).save(
            data / "images" / f"{photo.id}.jpg", quality=quality
        )
        labelled[photo.split].append(photo)
    for level, file in LEVELS.items():
        of_class = {name: _level(variant, level) for name, variant in of_name.items()}
        _write_lines(data / file, dict.fromkeys(of_class.values()))
        for split, chosen in labelled.items():
            _write_lines(data / f"images_{level}_{split}.txt", (f"{p.id} {of_class[p.variant]}" for p in chosen))
        both = labelled["train"] + labelled["val"]
        _write_lines(data / f"images_{level}_trainval.txt", (f"{p.id} {of_class[p.variant]}" for p in both))
    for split, chosen in labelled.items():
        _write_lines(data / f"images_{split}.txt", (photo.id for photo in chosen))
    everyone = [photo for chosen in labelled.values() for photo in chosen]
    _write_lines(data / "images_box.txt", (f"{photo.id} {_one_based(photo.box)}" for photo in everyone))


def _prompt(variant: str, above: Mapping[str, str]) -> str:
    of_family = f", {_article(above['family'])} aircraft" if above.get("family", variant) != variant else ""
    by = f" by {above['manufacturer']}" if "manufacturer" in above else ""
    return (
        f"a photo of {_article(variant)}{of_family}{by}"
        if of_family
        else f"a photo of {_article(variant)} aircraft{by}"
    )


def _article(name: str) -> str:
    letters = re.match("[A-Za-z]*", name).group()  # type: ignore[union-attr]  # it always matches
    spelled = letters.isupper() and len(letters) < 4  # "an F-16", "an MD-11"
    return f"{'an' if name[:1].upper() in ('AEFHILMNORSX' if spelled else 'AEIO') else 'a'} {name}"


def _one_based(box: Box) -> str:
    left, top, right, bottom = (round(value) for value in box)
    return f"{left + 1} {top + 1} {right} {bottom}"


def _level(variant: Variant, level: str) -> str:
    return {"variant": variant.name, "family": variant.family, "manufacturer": variant.manufacturer}[level]


def _write_lines(path: Path, rows: Iterable[str]) -> None:
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
