"""The regions that predictions rest on, as numbers for figures, and the colours in which they are shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raytune_planes.report.predictions import Example

LEAST, MOST = (213, 94, 0), (240, 228, 66)
"""Vermilion to yellow of Okabe & Ito's colours: lighter is more, also without colours."""
OPACITY = 0.85
SHADE = 0.75
"""Of a grey picture under the colours: these stand for the map alone."""


@dataclass(frozen=True)
class Region:
    """One validation picture, what it was taken for, and what that rests on."""

    example: Example
    map_HW: np.ndarray
    """In [0, 1], of all that the model saw; 1 is the region that speaks most for the class that was said."""


@dataclass(frozen=True)
class Regions:
    regions: tuple[Region, ...]


def heat(image_HWC: np.ndarray, map_HW: np.ndarray) -> np.ndarray:
    """The picture in grey with the map over it in colours, uint8 [H, W, 3].

    Args:
        image_HWC: uint8.
        map_HW: Of the same sides, in [0, 1].
    """
    grey_HW1 = SHADE * (image_HWC @ np.array([0.299, 0.587, 0.114]))[..., None]
    level_HW1 = np.clip(map_HW, 0, 1)[..., None]
    colour_HWC = (1 - level_HW1) * np.array(LEAST) + level_HW1 * np.array(MOST)
    opacity_HW1 = OPACITY * level_HW1
    return np.round((1 - opacity_HW1) * grey_HW1 + opacity_HW1 * colour_HWC).astype(np.uint8)
