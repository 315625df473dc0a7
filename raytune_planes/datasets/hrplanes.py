"""HRPlanes: large overhead scenes with boxes in YOLO text, cut into tiles with and without planes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from raytune_planes.datasets import (
    files,
    images,
    label_formats,
    layouts,
    scene_splits,
    split_folders,
    splits,
    tiles,
    yolo,
)
from raytune_planes.datasets.base import SPLITS, Info, Listing, Reader, Sample
from raytune_planes.datasets.images import Source
from raytune_planes.datasets.labels import Box, Found, chosen
from raytune_planes.datasets.outlines import Corners
from raytune_planes.datasets.survey import Survey, left_out_warnings
from raytune_planes.datasets.tiling import Tiling
from raytune_planes.errors import UserError
from raytune_planes.printing import counted, in_number

CLASSES = ("background", "plane")
PROMPTS = (
    "an aerial image of the ground without an airplane",
    "an aerial image of airplanes seen from above",
)
LIST_NAMES = scene_splits.LIST_NAMES
Boxed = tuple[int, int, tuple[Box, ...]]
"""Width, height and boxes of a picture."""
Scenes = dict[Path, Boxed]
Turned = Mapping[Path, tuple[Corners, ...]]
"""The oriented boxes of pictures, in the order of their boxes; of none where labels tell no outline."""


@dataclass(frozen=True)
class Scene:
    """One picture of the set with its boxes."""

    name: str
    """File name without suffix; may hold blanks and parentheses."""
    image_HWC: np.ndarray
    """uint8 RGB."""
    boxes: tuple[Box, ...]
    split: str
    corners: tuple[Corners, ...] = ()
    """Of its oriented boxes, which are then written in place of the boxes."""


class HRPlanes(Reader):
    """Almost every scene has a plane, so the sample is a tile, and its class is whether a plane is in it.

    The mask is the filled boxes, or the ellipses in them: the set has no outlines. Tiles without a plane are kept up to
    the number of those with one, per split; tiles that show no more than a sliver of a plane belong to neither class
    and are left out.
    """

    name: ClassVar[str] = "hrplanes"
    source: ClassVar[str] = (
        "https://github.com/dilsadunsal/HRPlanesv2-Data-Set (Bakirman & Sertel 2023); unpack pictures and labels there"
    )
    layout: ClassVar[str] = """
        hrplanes/
            img/                                       (any folders)
                {scene}.jpg
                {scene}.txt                            (lines 'class x y width height'; or in labels/)
            train.txt, validation.txt, test.txt        (one picture a line; without them, split by scene)
            train/images, train/labels, valid/…, test/… (instead, as Roboflow exports; or images/train, labels/train, …)
            {any}.json                                 (instead of text: boxes of COCO; or {scene}.xml of Pascal VOC,
                                                        or {scene}.txt of DOTA)
            data.yaml                                  (optional: names of classes, folders or lists of the splits)
    """

    tiled: ClassVar[bool] = True
    _last: tuple[Source, float, images.Picture] | None = None

    def scan(self) -> Listing:
        root = files.expect_root(self)
        survey = Survey(root, self.options.links)
        pictures = survey.pictures
        if not pictures:
            raise files.absent(self, f"{root} holds no pictures")
        sizes, wrong = {}, {}
        for picture in pictures:
            try:
                sizes[picture] = self.size_of(picture)
            except UserError as error:
                wrong[picture] = str(error)
        if wrong:
            raise files.unreadable(wrong)
        found = label_formats.read(survey, sizes)
        if found is None:
            raise files.absent(
                self,
                f"{root} holds {counted(len(pictures), 'picture')} and no label file",
                layouts.out_of_place(survey) or layouts.recognised(survey, f"datasets.{self.name_in_study}"),
            )
        scenes, turned, odd = self._planes(found, sizes)
        split_of, warnings = self._splits(scenes, survey, found)
        warnings += odd
        tiling = self._tiling(scenes, split_of)
        samples = [s for p in split_of for s in self._tiles(p, tiling, scenes[p], turned.get(p, ()))]
        kept, more = self._balanced(samples, split_of)
        info = self._info(tiling, [scenes[p] for p, split in split_of.items() if split == "train"], bool(turned))
        parts = splits.by_name(split_of, [sample.path for sample in kept])
        boxes_of = {picture.relative_to(root).as_posix(): len(scenes[picture][2]) for picture in split_of}
        synthetic = survey.synthetic
        survey.read(split_of)
        account = survey.account()
        warnings += [*more, *split_folders.copy_warnings(kept, parts), *left_out_warnings(account.left_out)]
        whole = [self._whole(path, scenes[path], turned.get(path, ())) for path in split_of]
        of_scenes = splits.by_name(split_of, [scene.path for scene in whole])
        told_of = tuple(warnings), synthetic, boxes_of, account
        return Listing(info, tuple(kept), parts, *told_of, scenes=tuple(whole), scene_splits=of_scenes)

    def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        assert sample.window is not None
        left, top, right, bottom = sample.window
        size = right - left, bottom - top, self.image_size
        if self.options.mask_shape == "ellipse":
            mask_HW = tiles.ellipses(sample.uncut, *size)
        else:
            mask_HW = tiles.mask(sample.boxes, *size)
        return self.show(sample.path, sample.window), mask_HW

    def scene(self, source: Source, side: float) -> images.Picture:
        """Keeps the last scene, since the tiles of one scene are asked for one after the other."""
        if self._last is None or self._last[:2] != (source, side):
            self._last = source, side, super().scene(source, side)
        return self._last[2]

    def _tiling(self, scenes: Mapping[Path, Boxed], split_of: Mapping[Path, str]) -> Tiling:
        """By the training scenes alone. The reader has the side from then on."""
        tiling = Tiling.of(self.tile_asked, (scenes[path] for path, split in split_of.items() if split == "train"))
        self.tile = tiling.side
        return tiling

    def _info(self, tiling: Tiling, train: Sequence[Boxed], oriented: bool) -> Info:
        return Info(
            self.name_in_study,
            CLASSES,
            PROMPTS,
            has_masks=True,
            has_boxes=True,
            has_oriented_boxes=oriented,
            tile=tiling.side,
            tile_overlap=tiling.overlap,
            train_boxes=sum(len(boxes) for *_, boxes in train),
            train_boxes_cut=tiling.cut(train),
            masks_from=self.options.mask_shape,
        )

    def _group(self, picture: Path) -> str:
        """Its path; copies have that of their source, without the split's folder."""
        parts, source = picture.relative_to(self.root).parts, split_folders.source_name(picture.name)
        if source is None:
            return "/".join(parts)
        return "/".join([*(part for part in parts[:-1] if not split_folders.split_of(part)), source])

    def _planes(self, found: Found, sizes: Mapping[Path, tuple[int, int]]) -> tuple[Scenes, Turned, list[str]]:
        """Width, height and the boxes that count of every picture with labels; their corners, where any label tells an
        outline; and what was odd about the labels."""
        kinds: Counter[str] = Counter()
        odd: Counter[str] = Counter()
        for labels in found.labels_of.values():
            kinds.update(labels.kinds)
            odd.update(labels.odd)
        planes, told = chosen(kinds, self.options.classes, found.other_names, self.name_in_study)
        scenes = {path: (*sizes[path], labels.of(planes)) for path, labels in found.labels_of.items()}
        has_outlines = any(labels.corners for labels in found.labels_of.values())
        turned = {path: labels.corners_of(planes) for path, labels in found.labels_of.items() if has_outlines}
        return scenes, turned, [*(in_number(n, what) for what, n in odd.items()), *told, *found.warnings]

    def _splits(self, scenes: Mapping[Path, Boxed], survey: Survey, found: Found) -> tuple[dict[Path, str], list[str]]:
        """The split of every picture that is used, in the order of the pictures, and warnings."""
        given, warnings = scene_splits.given(survey, list(scenes), found)
        pictures = [picture for picture in scenes if given is None or picture in given]
        groups = [self._group(picture) for picture in pictures]
        labels = [int(bool(scenes[picture][2])) for picture in pictures]
        if given is None:
            parts = splits.by_group(groups, labels, seed=self.seed)
        else:
            parts, more = splits.completed([given[p] for p in pictures], groups, labels, seed=self.seed)
            warnings += more
        if not all(parts[split] for split in SPLITS):
            count = len(pictures)
            raise UserError(
                f"{self.root}: {counted(count, 'scene')} cannot be split into train, val and test; 3 are needed"
            )
        split_of = {pictures[i]: split for split, index in parts.items() for i in index}
        return {picture: split_of[picture] for picture in pictures}, warnings

    def _whole(self, picture: Path, boxed: Boxed, corners: tuple[Corners, ...]) -> Sample:
        width, height, boxes = boxed
        return Sample(picture, int(bool(boxes)), self._group(picture), (0, 0, width, height), boxes, boxes, corners)

    def _tiles(self, picture: Path, tiling: Tiling, boxed: Boxed, corners: tuple[Corners, ...]) -> Iterable[Sample]:
        (width, height, boxes), group = boxed, self._group(picture)
        for window in tiles.windows(width, height, tiling.side, tiling.overlap):
            parts, uncut, slivers, numbers = tiles.inside(boxes, window)
            if parts or not slivers:
                inside = tuple(tiles.shifted(corners[n], window) for n in numbers) if corners else ()
                yield Sample(picture, int(bool(parts)), group, window, parts, uncut, inside)

    def _balanced(self, samples: list[Sample], split_of: dict[Path, str]) -> tuple[list[Sample], list[str]]:
        """At most one empty tile for each tile with a plane, per split, drawn by a hash; and warnings."""
        dropped: set[Sample] = set()
        warnings = []
        for split in SPLITS:
            mine = [sample for sample in samples if split_of[sample.path] == split]
            empty = sorted(
                (s for s in mine if not s.label), key=lambda s: splits.hash_of(self.seed, f"{s.group} {s.window}")
            )
            planes = len(mine) - len(empty)
            dropped |= set(empty[max(1, planes) :])
            for label, count in enumerate((len(empty), planes)):
                if not count:
                    warnings.append(f"{split} has no tile of class '{CLASSES[label]}' at a tile of {self.tile} pixels")
        return [sample for sample in samples if sample not in dropped], warnings


def write(root: Path, scenes: Iterable[Scene], *, quality: int = 90) -> None:
    """Write JPEG scenes with labels beside them in ``img/``; the lists' paths do not exist, as in the original."""
    (root / "img").mkdir(parents=True, exist_ok=True)
    listed: dict[str, list[str]] = {split: [] for split in SPLITS}
    for scene in scenes:
        height, width = scene.image_HWC.shape[:2]
        Image.fromarray(scene.image_HWC).save(root / "img" / f"{scene.name}.jpg", quality=quality)
        labels = root / "img" / f"{scene.name}.txt"
        if scene.corners:
            yolo.write_corners(labels, scene.corners, width, height)
        else:
            yolo.write_boxes(labels, scene.boxes, width, height)
        listed[scene.split].append(f"data/plane/img/{scene.name}.jpg\n")
    for split, entries in listed.items():
        (root / LIST_NAMES[split]).write_text("".join(entries), encoding="utf-8")
