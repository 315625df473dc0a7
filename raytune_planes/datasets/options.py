"""The settings of a dataset that a reader works by."""

from __future__ import annotations

from dataclasses import dataclass, field

from raytune_planes.datasets.bands import Bands
from raytune_planes.datasets.depth import Range
from raytune_planes.datasets.framing import Framing
from raytune_planes.datasets.info import MASK_SHAPES
from raytune_planes.datasets.links import Links
from raytune_planes.datasets.opening import MOST_PIXELS

LOSSLESS, JPEG = "lossless", "jpeg"


@dataclass(frozen=True)
class Options:
    """The settings of a dataset that decide how its files are read."""

    max_pixels: int = MOST_PIXELS
    """Of a picture; larger ones are refused before they are decoded."""
    classes: tuple[str, ...] = ()
    """Names or ids of the classes of boxes that count; empty where there is but one."""
    values: Range | None = None
    """Of pictures with more than 8 bits, what is shown as black and as white; None for the range that they use."""
    bands: Bands = ()
    """Of pictures of more bands than colours, those that are seen."""
    links: Links = field(default_factory=Links)
    """Which links are followed."""
    mask_shape: str = MASK_SHAPES[0]
    """What masks are drawn from boxes in, of ``MASK_SHAPES``."""
    framing: Framing = field(default_factory=Framing)
    """How pictures of any shape become squares."""
    kept: str = LOSSLESS
    """How decoded pictures are kept: see ``Dataset.kept``."""
