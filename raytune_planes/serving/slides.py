"""Scenes for a head that learnt chips: it slides over them at the chips' own scale, and peaks become places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from raytune_planes.datasets.base import Reader
from raytune_planes.datasets.images import Picture, Source
from raytune_planes.errors import UserError
from raytune_planes.scenes.boxes import SURE
from raytune_planes.scenes.grid import Scored

STEPS = 4
"""Windows begin at every ``STEPS``-th part of a chip's side."""
APART = 0.75
"""Share of a chip's side within which two peaks are one object."""
AT_ONCE = 1024
"""Windows that are in memory together."""


@dataclass(frozen=True)
class Slide:
    """Where the windows of a scene lie: at ``scale`` source pixels for each pixel of a chip."""

    picture: Picture
    """Reduced so that one of its pixels is one of a chip."""
    side: int
    """Of a chip, in its pixels."""
    scale: float
    image_size: int
    """Side at which chips are decoded."""

    @staticmethod
    def of(reader: Reader, source: Source, side: int, scale: float) -> Slide:
        """Raises UserError: the scene holds no window of that scale, or cannot be decoded."""
        width, height = reader.size_of(source)
        size = round(width / scale), round(height / scale)
        if min(size) < side:
            raise UserError(
                f"a picture of {width}×{height} px holds no window of {side * scale:.0f} px "
                f"(chips of {side} px at --scale {scale:g}); give a smaller --scale"
            )
        whole = reader.decoded(source, coarsest=max(1.0, scale)).image
        if whole.size != size:
            whole = whole.resize(size, Image.Resampling.BILINEAR)
        return Slide(Picture(whole, *size), side, scale, reader.image_size)

    @property
    def starts(self) -> tuple[list[int], list[int]]:
        """Left and upper edges of the windows; the last ones touch the scene's edge."""
        step = max(1, self.side // STEPS)
        across, down = ([*range(0, n - self.side, step), n - self.side] for n in self.picture.image.size)
        return across, down

    def __len__(self) -> int:
        across, down = self.starts
        return len(across) * len(down)

    def pixels(self) -> Iterator[np.ndarray]:
        """uint8 [N, D, D, 3] as they are decoded, row by row, at most ``AT_ONCE`` windows a time. Each is cut
        before it is enlarged, as a chip's file was: Pillow's filters reach beyond a box that is given to them."""
        across, down = self.starts
        some: list[np.ndarray] = []
        for top in down:
            for left in across:
                chip = self.picture.image.crop((left, top, left + self.side, top + self.side))
                some.append(Picture(chip, self.side, self.side).crop(self.image_size))
                if len(some) == AT_ONCE:
                    yield np.stack(some)
                    some = []
        if some:
            yield np.stack(some)

    def places(self, probability_N: np.ndarray) -> tuple[Scored, ...]:
        """Windows in the picture's pixels, the surest first, at most one for each object.

        A head that is sure of an object is as sure a few pixels beside it. The middle of all that say so is the largest
        mean over neighbouring windows.
        """
        from scipy import ndimage

        across, down = self.starts
        score_YX = probability_N.reshape(len(down), len(across)).astype(np.float64)
        mean_YX = ndimage.uniform_filter(score_YX, 3, mode="nearest")
        peaks_YX = (mean_YX == ndimage.maximum_filter(mean_YX, 2 * round(APART * STEPS) + 1)) & (score_YX > SURE)
        rows, columns = np.nonzero(peaks_YX)
        windows: list[tuple[int, int, float]] = []
        for n in np.argsort(-mean_YX[peaks_YX], kind="stable").tolist():
            x, y, score = across[columns[n]], down[rows[n]], float(score_YX[rows[n], columns[n]])
            if all(
                max(abs(x - a), abs(y - b)) >= APART * self.side for a, b, _ in windows
            ):  # equal means lie side by side
                windows.append((x, y, score))
        windows.sort(key=lambda place: -place[2])
        return tuple(
            ((x * self.scale, y * self.scale, (x + self.side) * self.scale, (y + self.side) * self.scale), score)
            for x, y, score in windows
        )
