"""Training tiles that are cut out of their whole scene anew each time, at a random place near their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from torch import Tensor

from raytune_planes.datasets import tiles
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.card_decoding import CardDecoder
from raytune_planes.datasets.labels import Box
from raytune_planes.datasets.outlines import UPRIGHT
from raytune_planes.datasets.records import Records
from raytune_planes.datasets.tiles import TileWindow

REACH = 0.5
"""Share of its side by which a tile moves each way at most: so the tiles of a scene reach every place of it."""


class SceneCrops:
    """Any window of the scenes of ``arrays``, as a tile would be that lay there."""

    def __init__(self, arrays: Arrays, decoder: CardDecoder | None = None) -> None:
        """``decoder``: of scenes that are kept as JPEG, where a GPU decodes them."""
        assert arrays.scenes is not None
        self._arrays, self._scenes, self._decoder = arrays, arrays.scenes, decoder
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
        columns = UPRIGHT + scenes.corners(0).shape[1]
        boxes_BMC = np.zeros((len(windows), max([1, *(len(parts) for _, parts, *_ in windows)]), columns), np.float32)
        for row_MC, (_, parts, _, corners_M8) in zip(boxes_BMC, windows, strict=True):
            row_MC[: len(parts)] = np.concatenate([np.array(parts).reshape(-1, 4), corners_M8], 1) / side
        ellipse = self._arrays.info.masks_from == "ellipse"
        return Arrays(
            self._arrays.info,
            self._pictures(number_B.tolist(), [window for window, *_ in windows]),
            np.array([int(bool(parts)) for _, parts, *_ in windows], np.int64),
            np.stack(
                [
                    tiles.ellipses(uncut, side, side, side) if ellipse else tiles.mask(parts, side, side, side)
                    for _, parts, uncut, _ in windows
                ]
            ),
            {},
            self._arrays.fingerprint,
            boxes_NM4=boxes_BMC,
        )

    def _pictures(self, numbers: Sequence[int], windows: Sequence[TileWindow]) -> np.ndarray:
        """uint8 [B, S, S, 3] of these windows of scenes, each of which is decoded once; with a decoder a tensor of the
        GPU, which ``Pixels`` takes as well."""
        asked = sorted(set(numbers))
        scenes: Iterable[np.ndarray | Tensor] = map(self._scenes.image, asked)
        if self._decoder is not None and isinstance(self._scenes.pixels, Records):
            size = int(3 * self._scenes.table_NC[asked, 1:3].prod(axis=1).max())
            scenes = self._decoder.pictures(self._scenes.pixels, asked, size)
        found: dict[int, np.ndarray | Tensor] = {}
        for number, scene_HWC in zip(asked, scenes, strict=True):
            for place in (place for place, own in enumerate(numbers) if own == number):
                left, top, right, bottom = windows[place]
                part_SSC = scene_HWC[top:bottom, left:right]
                # A copy of its own, so that of scenes that were decoded for it no more than one stays in memory.
                found[place] = part_SSC.clone() if isinstance(part_SSC, Tensor) else part_SSC.copy()
        tiles = [found[place] for place in range(len(windows))]
        on_card = [tile_SSC for tile_SSC in tiles if isinstance(tile_SSC, Tensor)]
        return cast(np.ndarray, torch.stack(on_card)) if on_card else np.stack(tiles)

    def _window(
        self, scene: int, *places_2: np.ndarray
    ) -> tuple[TileWindow, tuple[Box, ...], tuple[Box, ...], np.ndarray]:
        """Place, boxes cut and uncut, and corners of the first one that shows no slivers alone, or of the last."""
        side, boxes = self._scenes.image_size, self._scaled(scene)
        for left, top in places_2:
            window: TileWindow = (int(left), int(top), int(left) + side, int(top) + side)
            parts, uncut, slivers, numbers = tiles.inside(boxes, window)
            if parts or not slivers:
                break
        corners_M8 = self._scenes.corners(scene)[list(numbers)] / self._scenes.step(scene, self._arrays.info.tile)
        corners_M8[:, 0::2] -= window[0]
        corners_M8[:, 1::2] -= window[1]
        return window, parts, uncut, corners_M8

    def _scaled_boxes(self, scene: int) -> list[Box]:
        step = self._scenes.step(scene, self._arrays.info.tile)
        return [(x0, y0, x1, y1) for x0, y0, x1, y1 in (self._scenes.boxes(scene) / step).tolist()]
