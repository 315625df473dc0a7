"""What is known of a dataset apart from its files: classes, sentences, and how its pictures are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raytune_planes.datasets.depth import Range

MASK_SHAPES = ("rectangle", "ellipse")
"""What masks are drawn from boxes in."""
USUAL_TILE = 320
"""Side of tiles in source pixels where there is no box to go by."""


@dataclass(frozen=True)
class Info:
    """What the model and the report need to know of a dataset, independent of its files."""

    name: str
    classes: tuple[str, ...]
    prompts: tuple[str, ...]
    """One sentence per class, for the text encoder."""
    has_masks: bool = False
    parents: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Coarser labels, e.g. ``{"family": (0, 0, 1, ...)}``: the parent of every class."""
    top_k: int = 0
    """Report top-k accuracy as well; 0 for not."""
    has_boxes: bool = False
    """Whether samples tell where their objects are: ``Sample.boxes`` and ``Sample.window``. Label 0 is then that of
    pictures without any."""
    # Without repr, of which fingerprints are made: entries of upright boxes stay valid; corners are in them.
    has_oriented_boxes: bool = field(default=False, repr=False)
    """Whether labels tell outlines or oriented boxes: ``Sample.corners``."""
    values: Range | None = None
    """Of pictures with more than 8 bits, the numbers that were shown as black and as white: one range for the dataset,
    and for whatever its model sees later. None where no picture has."""

    tile: int = 0
    """Side in source pixels of the tiles that scenes are cut into; 0 for datasets of small pictures."""
    tile_overlap: float = 0.0
    """Share of their side that neighbouring tiles have in common, at least."""
    train_boxes: int = 0
    """Boxes in the training scenes."""
    train_boxes_cut: int = 0
    """Of them, those that are cut in every tile."""
    masks_from: str = ""
    """The shape that masks were drawn from boxes in, of ``MASK_SHAPES``; empty where there are pictures of masks."""

    @classmethod
    def of_json(cls, plain: Mapping[str, Any]) -> Info:
        """From the plain values of ``asdict``, whose tuples may have become lists."""
        lists = {name: tuple(plain[name]) for name in ("classes", "prompts")}
        parents = {level: tuple(of_class) for level, of_class in plain["parents"].items()}
        return cls(**{**plain, **lists, "parents": parents, "values": tuple(plain.get("values") or ()) or None})
