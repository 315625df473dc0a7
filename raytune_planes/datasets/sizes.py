"""Which sizes a dataset's pictures have: by them a trained model knows a picture of the kind that it learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

SIDES = 1.25
"""How much smaller or larger than all that was learnt a side may be."""
SHAPES = 1.05
"""The same for the ratio of width to height: a square scene is no photograph."""


@dataclass(frozen=True)
class Sizes:
    """Of the training pictures' files, in pixels: the least and the largest, and what is usual."""

    width: tuple[int, int]
    height: tuple[int, int]
    ratio: tuple[float, float]
    """Width over height."""
    side: int
    """The median of the shorter sides."""

    @staticmethod
    def of(pictures: Sequence[tuple[int, int]]) -> Sizes:
        """Of at least one picture, each as width and height."""
        widths, heights = zip(*pictures, strict=True)
        ratios = [width / height for width, height in pictures]
        return Sizes(
            (min(widths), max(widths)),
            (min(heights), max(heights)),
            (min(ratios), max(ratios)),
            median_low(map(min, pictures)),
        )

    @staticmethod
    def of_json(fields: Mapping[str, Any]) -> Sizes:
        """From what ``dataclasses.asdict`` made of one."""
        width, height, ratio = (tuple(fields[key]) for key in ("width", "height", "ratio"))
        return Sizes(width, height, ratio, int(fields["side"]))

    def hold(self, width: int, height: int) -> bool:
        """Whether a picture of this size is like those that were learnt."""
        measured = ((width, self.width, SIDES), (height, self.height, SIDES), (width / height, self.ratio, SHAPES))
        return all(low / factor <= value <= high * factor for value, (low, high), factor in measured)

    def __str__(self) -> str:
        across, down = (f"{low}" if low == high else f"{low}-{high}" for low, high in (self.width, self.height))
        return f"{across}×{down} px"
