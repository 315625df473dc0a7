"""Whole scenes of a decoded dataset: what random crops are cut from, and what evaluation joins its tiles to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from raytune_planes.datasets.outlines import UPRIGHT
from raytune_planes.datasets.records import Records

COLUMNS = ("start", "width", "height", "group", "split", "boxes", "source_width", "source_height")


@dataclass(frozen=True)
class Scenes:
    """Scenes at the scale of their tiles: ``step`` source pixels, the same in both directions, became one."""

    pixels: np.ndarray | Records
    """uint8, one scene after the other: rows of RGB; or a record for each."""
    table_NC: np.ndarray
    """int64, ``COLUMNS`` of each scene."""
    boxes_B4: np.ndarray
    """float64, the boxes of all scenes in source pixels; with the corners of oriented ones [B, 12]."""
    tile_N3: np.ndarray
    """float64 for each sample of the dataset: the number of its scene, left and top in the scene's own pixels."""
    image_size: int
    """Side of a tile in the scenes' own pixels."""
    splits: Mapping[str, np.ndarray]
    """int64 numbers of scenes for each of ``SPLITS``."""

    def __len__(self) -> int:
        return len(self.table_NC)

    def image(self, scene: int) -> np.ndarray:
        """uint8 [height, width, 3]; a view of the file, or decoded for this call."""
        if isinstance(self.pixels, Records):
            return self.pixels[scene]
        start, width, height = self.table_NC[scene, :3].tolist()
        return np.asarray(self.pixels[start : start + 3 * width * height]).reshape(height, width, 3)

    def size(self, scene: int) -> tuple[int, int]:
        """Width and height of its file in source pixels."""
        width, height = self.table_NC[scene, 6:8].tolist()
        return width, height

    def step(self, scene: int, tile: int) -> float:
        """Source pixels that became one, where tiles have a side of ``tile``."""
        return step_of(*self.size(scene), tile, self.image_size)

    def boxes(self, scene: int) -> np.ndarray:
        """float64 [M, 4] in source pixels."""
        return self._rows(scene)[:, :UPRIGHT]

    def corners(self, scene: int) -> np.ndarray:
        """float64 [M, 8] of the oriented boxes, whole, in source pixels; [M, 0] where labels tell none."""
        return self._rows(scene)[:, UPRIGHT:]

    def _rows(self, scene: int) -> np.ndarray:
        ends_N = self.table_NC[:, 5].cumsum()
        return np.asarray(self.boxes_B4[ends_N[scene] - self.table_NC[scene, 5] : ends_N[scene]])

    def validating(self, groups: np.ndarray) -> Scenes:
        """The same, where the scenes of these groups (of ``Arrays.groups_N``) validate instead, and the others of
        training and validation train."""
        pool_N = np.sort(np.concatenate([self.splits["train"], self.splits["val"]]))
        validates_N = np.isin(self.table_NC[pool_N, 3], groups)
        return replace(self, splits={**self.splits, "train": pool_N[~validates_N], "val": pool_N[validates_N]})


def step_of(width: int, height: int, tile: int, image_size: int) -> float:
    """Source pixels that become one where tiles of ``tile`` of them, or of the scene's shorter side, become
    ``image_size``."""
    return min(tile, width, height) / image_size
