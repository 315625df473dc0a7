"""Large scenes: cut into overlapping tiles at the scale of training, the tiles' masks blended, planes counted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raytune_planes.datasets import tiles
from raytune_planes.datasets.images import Picture
from raytune_planes.datasets.tiles import TileWindow
from raytune_planes.datasets.whole_scenes import step_of

OVERLAP = 0.5
"""Share of a tile's side that its neighbour sees as well: what one tile cuts, another sees whole."""
SMALLEST = 0.006
"""Share of a tile below which a spot is no plane: 24 pixels of a mask at 64. On the 27 unseen scenes of
``counts.MEASURED`` (35.2 planes each on average) it brings the count's mean error from 8.9 to 8.0; half or twice of it
give 7.8 and 7.9, the detector's boxes 7.5, and a constant 14.5."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the picture."""
Scored = tuple[Box, float]
"""A box in the picture's pixels, and how sure the model is of it."""


class Grid:
    """A scene at the scale at which its tiles are decoded: one of its pixels is ``step`` source pixels."""

    def __init__(self, pixels_HW3: np.ndarray, step: float, image_size: int, across: int, down: int) -> None:
        """``across`` and ``down`` are the scene's source pixels; ``pixels_HW3`` the scene at one in ``step`` of them,
        at least ``image_size`` to each side."""
        self._pixels_HW3, self.step, self.image_size = pixels_HW3, step, image_size
        self.across, self.down = across, down
        self.height, self.width = pixels_HW3.shape[:2]
        self.windows: list[TileWindow] = list(tiles.windows(self.width, self.height, image_size, OVERLAP))
        """In mask pixels."""

    @staticmethod
    def of(picture: Picture, tile: int, image_size: int) -> Grid:
        """``tile`` source pixels became ``image_size`` in training; a smaller picture is one tile of its shorter side,
        as in training."""
        step = step_of(picture.width, picture.height, tile, image_size)
        return Grid(picture.scaled(step), step, image_size, picture.width, picture.height)

    def pixels(self) -> Iterator[np.ndarray]:
        """Each tile as uint8 [D, D, 3], as it is decoded."""
        for left, top, right, bottom in self.windows:
            yield self._pixels_HW3[top:bottom, left:right]

    def blend(self, probability_THW: Tensor) -> np.ndarray:
        """The tiles' masks, of any side, as one, float32 [H, W]; where they overlap a tile counts more the nearer its
        centre is."""
        side = self.image_size
        if probability_THW.shape[-1] != side:
            probability_T1HW = probability_THW[:, None].float()
            probability_THW = F.interpolate(probability_T1HW, (side, side), mode="bilinear", antialias=True)[:, 0]
        ramp_S = torch.arange(1, self.image_size + 1).float()
        ramp_S = torch.minimum(ramp_S, ramp_S.flip(0))
        weight_SS = ramp_S[:, None] * ramp_S[None, :]
        summed_HW, weights_HW = torch.zeros(self.height, self.width), torch.zeros(self.height, self.width)
        for (left, top, right, bottom), mask_HW in zip(self.windows, probability_THW, strict=True):
            summed_HW[top:bottom, left:right] += mask_HW * weight_SS
            weights_HW[top:bottom, left:right] += weight_SS
        return (summed_HW / weights_HW).numpy()


def planes(mask_HW: np.ndarray, width: int, height: int, image_size: int) -> tuple[Scored, ...]:
    """A box in source pixels for each connected part of the mask (probabilities), largest first, and its mean.

    Planes whose masks touch count as one. Parts smaller than ``SMALLEST`` of a tile, whose side is ``image_size`` mask
    pixels, are left out.

    Args:
        mask_HW: Probability of a plane.
        width: Of the scene, in source pixels.
        height: Likewise.
        image_size: Side of a tile in mask pixels.

    Returns:
        (box, mean probability) for each part.
    """
    from scipy import ndimage

    parts_HW, count = ndimage.label(mask_HW > 0.5)
    numbers = np.arange(1, count + 1)
    sizes = np.bincount(parts_HW.ravel(), minlength=count + 1)[1:]
    means = ndimage.mean(mask_HW, parts_HW, numbers) if count else numbers
    across, down = width / mask_HW.shape[1], height / mask_HW.shape[0]
    spots = [
        (size, (x.start * across, y.start * down, x.stop * across, y.stop * down), float(mean))
        for size, mean, (y, x) in zip(sizes.tolist(), means, ndimage.find_objects(parts_HW), strict=True)
        if size >= SMALLEST * image_size**2
    ]
    return tuple((box, mean) for _, box, mean in sorted(spots, reverse=True))
