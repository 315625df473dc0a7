"""HRPlanes: large overhead scenes with boxes in YOLO text, cut into tiles with and without planes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from raytune_planes.datasets import files, images, splits, tiles, yolo
from raytune_planes.datasets.base import SPLITS, Info, Listing, Reader, Sample
from raytune_planes.datasets.images import Source
from raytune_planes.datasets.yolo import Box
from raytune_planes.errors import UserError

CLASSES = ("background", "plane")
PROMPTS = (
    "an aerial image of the ground without an airplane",
    "an aerial image of airplanes seen from above",
)
LIST_NAMES = {"train": "train.txt", "val": "validation.txt", "test": "test.txt"}


@dataclass(frozen=True)
class Scene:
    """One picture of the set with its boxes."""

    name: str
    """File name without suffix; may hold blanks and parentheses."""
    image_HWC: np.ndarray
    """uint8 RGB."""
    boxes: tuple[Box, ...]
    split: str


class HRPlanes(Reader):
    """Almost every scene has a plane, so the sample is a tile, and its class is whether a plane is in it.

    The mask is the filled boxes: the set has no outlines. Tiles without a plane are kept up to the number of those with
    one, per split; tiles that show no more than a sliver of a plane belong to neither class and are left out.
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
    """

    tiled: ClassVar[bool] = True
    _last: tuple[Source, float, images.Picture] | None = None

    def scan(self) -> Listing:
        root = files.expect_root(self)
        found = list(files.walk(root))
        pictures = [path for path in found if path.suffix.lower() in files.PICTURES]
        if not pictures:
            raise files.absent(self, f"{root} holds no pictures")
        scenes, missing = {}, []
        for picture in pictures:
            labels = yolo.label_file(picture, root)
            missing += [] if labels else [picture.name]
            width, height = images.size_of(picture)
            scenes[picture] = width, height, yolo.read_boxes(labels, width, height) if labels else ()
        if len(missing) == len(pictures):
            raise files.absent(self, f"{root} holds {len(pictures):,} picture(s) and no label file")
        split_of, warnings = self._splits(scenes, found)
        if missing:
            warnings.append(f"{len(missing):,} picture(s) have no label file and count as empty: {files.some(missing)}")
        samples = [s for picture, split in split_of.items() for s in self._tiles(picture, *scenes[picture])]
        kept, more = self._balanced(samples, {self._group(picture): split for picture, split in split_of.items()})
        info = Info(self.name_in_study, CLASSES, PROMPTS, has_masks=True, has_boxes=True)
        parts = splits.by_name({self._group(p): s for p, s in split_of.items()}, [s.group for s in kept])
        boxes_of = {self._group(picture): len(scenes[picture][2]) for picture in split_of}
        synthetic = files.is_synthetic(root)
        return Listing(info, tuple(kept), parts, tuple(warnings + more), synthetic, boxes_of)

    def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        assert sample.window is not None
        left, top, right, bottom = sample.window
        mask_HW = tiles.mask(sample.boxes, right - left, bottom - top, self.image_size)
        return self.show(sample.path, sample.window), mask_HW

    def scene(self, source: Source, side: float) -> images.Picture:
        """Keeps the last scene, since the tiles of one scene are asked for one after the other."""
        if self._last is None or self._last[:2] != (source, side):
            self._last = source, side, super().scene(source, side)
        return self._last[2]

    def _group(self, picture: Path) -> str:
        return picture.relative_to(self.root).as_posix()

    def _splits(
        self, scenes: dict[Path, tuple[int, int, tuple[Box, ...]]], found: list[Path]
    ) -> tuple[dict[Path, str], list[str]]:
        """The split of every picture, in the order of the pictures, and warnings."""
        pictures = list(scenes)
        lists = yolo.find_lists(found)
        if lists:
            lacking = [LIST_NAMES[split] for split in SPLITS if split not in lists]
            if lacking:
                raise UserError(
                    f"{self.root} holds {', '.join(p.name for p in lists.values())} but not {', '.join(lacking)}; "
                    f"add what is missing, or remove the lists to have the scenes split at random"
                )
            split_of, warnings = yolo.assign(lists, pictures)
            return {picture: split_of[picture] for picture in pictures if picture in split_of}, warnings
        labels = [int(bool(boxes)) for _, _, boxes in scenes.values()]
        parts = splits.by_group([self._group(p) for p in pictures], labels, seed=self.seed)
        if not all(parts[split] for split in SPLITS):
            raise UserError(
                f"{self.root}: {len(pictures)} scene(s) cannot be split into train, val and test; 3 are needed"
            )
        chosen = {pictures[i]: split for split, index in parts.items() for i in index}
        return {picture: chosen[picture] for picture in pictures}, ["no lists of splits; scenes were split 80/10/10"]

    def _tiles(self, picture: Path, width: int, height: int, boxes: tuple[Box, ...]) -> Iterable[Sample]:
        for window in tiles.windows(width, height, self.tile):
            parts, slivers = tiles.parts_inside(boxes, window)
            if parts or not slivers:
                yield Sample(picture, int(bool(parts)), self._group(picture), window, parts)

    def _balanced(self, samples: list[Sample], split_of: dict[str, str]) -> tuple[list[Sample], list[str]]:
        """At most one empty tile for each tile with a plane, per split, drawn by a hash; and warnings."""
        dropped: set[Sample] = set()
        warnings = []
        for split in SPLITS:
            mine = [sample for sample in samples if split_of[sample.group] == split]
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
        yolo.write_boxes(root / "img" / f"{scene.name}.txt", scene.boxes, width, height)
        listed[scene.split].append(f"data/plane/img/{scene.name}.jpg\n")
    for split, entries in listed.items():
        (root / LIST_NAMES[split]).write_text("".join(entries), encoding="utf-8")
