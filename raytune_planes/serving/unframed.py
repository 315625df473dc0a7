"""What a model says of the square that it sees, brought back onto the picture that the square was made of."""

from __future__ import annotations

import numpy as np
from PIL import Image

from raytune_planes.datasets.crops import Seen, middle
from raytune_planes.datasets.framing import Framing


def unframed(mask_SS: np.ndarray, framing: Framing, seen: Seen, decoded: int, width: int, height: int) -> np.ndarray:
    """A mask of all of a picture, float32 [H, W], at about the resolution of ``mask_SS``: 0 where nothing was seen.

    Args:
        mask_SS: of the square that the model saw, in [0, 1].
        framing: how the picture became a square of ``decoded`` pixels.
        seen: what the model saw of that.
        width: of the picture, in pixels.
        height: the same.
    """
    if framing.fit == "squash" and seen.share == 1:
        return mask_SS
    window = framing.window(width, height)
    first, _, last, _ = middle(decoded, seen.share)
    across, down = (
        _axis(len(mask_SS), (first, last), (decoded - own) // 2, window[n], (window[n + 2] - window[n]) / own, whole)
        for n, (own, whole) in enumerate(zip(framing.sides(window, decoded), (width, height), strict=True))
    )
    image = Image.fromarray(mask_SS.astype(np.float32))
    extent = across[1], down[1], across[2], down[2]
    size = across[0], down[0]
    return np.asarray(image.transform(size, Image.Transform.EXTENT, extent, Image.Resampling.BILINEAR))


def _axis(
    size: int, part: tuple[int, int], offset: int, start: float, step: float, whole: int
) -> tuple[int, float, float]:
    """Pixels of the new mask along one side of the picture, and where the picture begins and ends in the old one.

    Args:
        size: pixels of the old mask.
        part: of the decoded square, that the old mask shows.
        offset: decoded pixels before the picture.
        start: source pixel where the shown part of the picture begins.
        step: source pixels for each decoded one.
        whole: source pixels of the picture.
    """
    left, right = (start + (edge - offset) * step for edge in part)
    scale = size / (right - left)
    return max(1, round(whole * scale)), -left * scale, (whole - left) * scale
