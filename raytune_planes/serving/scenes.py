"""Large scenes: cut into overlapping tiles at the scale of training, the tiles' masks blended, planes counted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from raytune_planes.datasets import tiles
from raytune_planes.datasets.images import Picture
from raytune_planes.datasets.tiles import TileWindow
from raytune_planes.datasets.yolo import Box

OVERLAP = 0.5
"""Share of a tile's side that its neighbour sees as well: what one tile cuts, another sees whole."""
SMALLEST = 0.006
"""Share of a tile below which a spot is no plane: 24 pixels of a mask at 64. On the 27 unseen scenes of
``counts.MEASURED`` (35.2 planes each on average) it brings the count's mean error from 8.9 to 8.0; half or twice of it
give 7.8 and 7.9, the detector's boxes 7.5, and a constant 14.5."""


class Grid:
    """A scene at the scale at which the model was shown its tiles: one mask pixel is ``step`` source pixels."""

    def __init__(self, picture: Picture, tile: int, image_size: int) -> None:
        """``tile`` source pixels became ``image_size`` in training; a smaller picture is one tile of its shorter side,
        as in training."""
        self.picture, self.image_size = picture, image_size
        self.side = min(tile, picture.width, picture.height)
        """Of a tile, in source pixels."""
        self.step = self.side / image_size
        self.width = max(image_size, round(picture.width / self.step))
        self.height = max(image_size, round(picture.height / self.step))
        self.windows: list[TileWindow] = list(tiles.windows(self.width, self.height, image_size, OVERLAP))
        """In mask pixels."""

    def pixels(self) -> Iterator[np.ndarray]:
        """Each tile as uint8 [S, S, 3]."""
        for left, top, _, _ in self.windows:
            x, y = left * self.step, top * self.step
            yield self.picture.crop(self.image_size, (x, y, x + self.side, y + self.side))

    def blend(self, probability_THW: Tensor) -> np.ndarray:
        """The tiles' masks as one, float32 [H, W]; where they overlap a tile counts more the nearer its centre is."""
        ramp_S = torch.arange(1, self.image_size + 1).float()
        ramp_S = torch.minimum(ramp_S, ramp_S.flip(0))
        weight_SS = ramp_S[:, None] * ramp_S[None, :]
        summed_HW, weights_HW = torch.zeros(self.height, self.width), torch.zeros(self.height, self.width)
        for (left, top, right, bottom), mask_HW in zip(self.windows, probability_THW, strict=True):
            summed_HW[top:bottom, left:right] += mask_HW * weight_SS
            weights_HW[top:bottom, left:right] += weight_SS
        return (summed_HW / weights_HW).numpy()


def planes(mask_HW: np.ndarray, width: int, height: int, image_size: int) -> tuple[Box, ...]:
    """A box in source pixels for each connected part of the mask (probabilities), largest first.

    Planes whose masks touch count as one. Parts smaller than ``SMALLEST`` of a tile, whose side is ``image_size`` mask
    pixels, are left out.
    """
    from scipy import ndimage

    parts_HW, count = ndimage.label(mask_HW > 0.5)
    sizes = np.bincount(parts_HW.ravel(), minlength=count + 1)[1:]
    across, down = width / mask_HW.shape[1], height / mask_HW.shape[0]
    found = [
        (size, (x.start * across, y.start * down, x.stop * across, y.stop * down))
        for size, (y, x) in zip(sizes.tolist(), ndimage.find_objects(parts_HW), strict=True)
        if size >= SMALLEST * image_size**2
    ]
    return tuple(box for _, box in sorted(found, reverse=True))
