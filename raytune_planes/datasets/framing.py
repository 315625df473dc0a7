"""How a picture of any shape becomes a square: cut to the box of its object, then stretched, cropped or padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

Window = tuple[float, float, float, float]
"""Left, top, right, bottom in source pixels."""
PADDING = 128
"""Each channel of what lies beside a padded picture: zero after normalisation, but for half a level."""


@dataclass(frozen=True)
class Framing:
    """The settings ``fit``, ``crop_to_box`` and ``box_margin`` of a dataset."""

    fit: Literal["squash", "crop", "pad"] = "squash"
    to_box: bool = False
    margin: float = 0.0
    """Beside the box, to each side, in shares of its longer side."""

    def window(self, width: int, height: int, box: Window | None = None) -> Window:
        """The part of a picture that is shown, in its pixels. ``box`` counts where ``to_box`` says so."""
        left, top, right, bottom = 0.0, 0.0, float(width), float(height)
        if self.to_box and box is not None:
            margin = self.margin * max(box[2] - box[0], box[3] - box[1])
            left, top = max(left, box[0] - margin), max(top, box[1] - margin)
            right, bottom = min(right, box[2] + margin), min(bottom, box[3] + margin)
        if self.fit == "crop":
            half, across, down = min(right - left, bottom - top) / 2, (left + right) / 2, (top + bottom) / 2
            left, top, right, bottom = across - half, down - half, across + half, down + half
        return left, top, right, bottom

    def sides(self, window: Window, size: int) -> tuple[int, int]:
        """Width and height in pixels at which the window stands in the middle of the square of ``size`` pixels."""
        if self.fit != "pad":
            return size, size
        wide, high = window[2] - window[0], window[3] - window[1]
        return max(1, round(wide * size / max(wide, high))), max(1, round(high * size / max(wide, high)))

    def mask(self, inside_HW: np.ndarray, size: int) -> np.ndarray:
        """A mask, bool at the size of its picture, framed as the whole picture is: uint8 [size, size] in {0, 1}.

        What covers half of a pixel counts; padding shows nothing.
        """
        window = self.window(inside_HW.shape[1], inside_HW.shape[0])
        whole = Image.fromarray(inside_HW.astype(np.uint8) * 255)
        scaled = whole.resize(self.sides(window, size), Image.Resampling.BOX, box=window)
        return (np.asarray(padded(scaled, size, 0)) > 127).astype(np.uint8)


def padded(image: Image.Image, size: int, value: int = PADDING) -> Image.Image:
    """The image in the middle of a square of ``size`` pixels, whose other pixels have ``value`` in each channel."""
    if image.size == (size, size):
        return image
    out = Image.new(image.mode, (size, size), (value,) * len(image.getbands()))
    out.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return out
