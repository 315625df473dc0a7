"""Training tiles that are cut out of their whole scene anew each time, at a random place near their own."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from raytune_planes.datasets import tiles
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.tiles import TileWindow
from raytune_planes.datasets.yolo_lines import Box

REACH = 0.5
"""Share of its side by which a tile moves each way at most: so the tiles of a scene reach every place of it."""


class SceneCrops:
    """Any window of the scenes of ``arrays``, as a tile would be that lay there."""

    def __init__(self, arrays: Arrays) -> None:
        assert arrays.scenes is not None
        self._arrays, self._scenes = arrays, arrays.scenes
        self._scaled = lru_cache(maxsize=None)(self._scaled_boxes)

    def near(self, chosen_B: np.ndarray, draws_B2: np.ndarray) -> Arrays:
        """A window near each of these tiles, as a dataset of its own without splits: pictures, masks, boxes, labels.

        One that shows no more than a sliver of an object, which tiles never do, stays at its tile's own place.

        Args:
            draws_B2: Uniform in [0, 1): how far it moves across and down.
        """
        scenes, side = self._scenes, self._scenes.image_size
        number_B, place_B2 = scenes.tile_N3[chosen_B, 0].astype(np.int64), scenes.tile_N3[chosen_B, 1:]
        most_B2 = scenes.table_NC[number_B, 1:3] - side
        own_B2, moved_B2 = (
            np.clip(np.round(place), 0, most_B2).astype(np.int64)
            for place in (place_B2, place_B2 + (2 * draws_B2 - 1) * REACH * side)
        )
        windows = [self._window(n, *places) for n, *places in zip(number_B.tolist(), moved_B2, own_B2, strict=True)]
        boxes_BM4 = np.zeros((len(windows), max([1, *(len(parts) for _, parts, _ in windows)]), 4), np.float32)
        for row_M4, (_, parts, _) in zip(boxes_BM4, windows, strict=True):
            row_M4[: len(parts)] = np.array(parts).reshape(-1, 4) / side
        ellipse = self._arrays.info.masks_from == "ellipse"
        return Arrays(
            self._arrays.info,
            np.stack([image_SSC for image_SSC, _, _ in windows]),
            np.array([int(bool(parts)) for _, parts, _ in windows], np.int64),
            np.stack(
                [
                    tiles.ellipses(uncut, side, side, side) if ellipse else tiles.mask(parts, side, side, side)
                    for _, parts, uncut in windows
                ]
            ),
            {},
            self._arrays.fingerprint,
            boxes_NM4=boxes_BM4,
        )

    def _window(self, scene: int, *places_2: np.ndarray) -> tuple[np.ndarray, tuple[Box, ...], tuple[Box, ...]]:
        """Picture, boxes cut and uncut of the first place that shows no slivers alone, or of the last."""
        side, boxes = self._scenes.image_size, self._scaled(scene)
        for left, top in places_2:
            window: TileWindow = (int(left), int(top), int(left) + side, int(top) + side)
            parts, uncut, slivers = tiles.inside(boxes, window)
            if parts or not slivers:
                break
        image_SSC = self._scenes.image(scene)[window[1] : window[3], window[0] : window[2]]
        return image_SSC, parts, uncut

    def _scaled_boxes(self, scene: int) -> list[Box]:
        step = self._scenes.step(scene, self._arrays.info.tile)
        return [(x0, y0, x1, y1) for x0, y0, x1, y1 in (self._scenes.boxes(scene) / step).tolist()]
