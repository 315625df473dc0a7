"""The numbers behind figures of a dataset before anything was trained: classes, light, boxes, copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytune_planes.printing import printable
from raytune_planes.report.figure import Figure, Missing

PAIRS = 8
COLUMNS = 8
"""Pictures beside each other on a contact sheet."""


@dataclass(frozen=True)
class ClassCounts:
    """Samples of each class and split."""

    dataset: str
    counts: Mapping[str, Mapping[str, int]]
    """Split -> class -> samples."""


@dataclass(frozen=True)
class Light:
    """How many pictures of each dataset have which mean brightness."""

    shares: Mapping[str, tuple[float, ...]]
    """Dataset -> share of its pictures in each of equal bins over [0, 1]."""


@dataclass(frozen=True)
class BoxCounts:
    dataset: str
    per_scene: tuple[int, ...]


@dataclass(frozen=True)
class CopyPair:
    """Two pictures that show the same."""

    first_HWC: np.ndarray
    second_HWC: np.ndarray
    about: str


@dataclass(frozen=True)
class CopyPairs:
    pairs: tuple[CopyPair, ...]


@dataclass(frozen=True)
class SheetPicture:
    image_HWC: np.ndarray
    mask_HW: np.ndarray | None = None
    """In {0, 1}: it is outlined."""
    about: str = ""
    """Written above it, in a few letters."""


@dataclass(frozen=True)
class SheetRow:
    what: str
    pictures: tuple[SheetPicture, ...]
    """``COLUMNS`` at most."""
    suspicious: bool = False


@dataclass(frozen=True)
class Sheet:
    """A contact sheet."""

    rows: tuple[SheetRow, ...]


def figures(
    reports: Sequence[Mapping[str, Any]],
    pairs: Mapping[str, Sequence[CopyPair]],
    sheets: Mapping[str, Sheet],
) -> list[Figure]:
    """The figures of ``raytune-planes data``.

    Args:
        reports: What ``Findings.as_json`` returns, a dataset each.
        pairs: Copies to show, by dataset.
        sheets: Pictures to show, by dataset.
    """
    out = []
    for each in reports:
        name, boxes = each["dataset"], each["boxes"]["per_scene"]
        out.append(
            Figure(
                f"data-{name}-classes",
                f"{name}: classes",
                "Samples by class and split.",
                ClassCounts(
                    name,
                    {split: {printable(k): n for k, n in of.items()} for split, of in each["samples"].items()},
                ),
            )
        )
        sheet = sheets[name] if name in sheets and sheets[name].rows else Missing("there is no readable picture")
        out.append(
            Figure(
                f"data-{name}-pictures",
                f"{name}: pictures",
                "The most and the least frequent classes as training sees them, masks outlined, and pairs that look "
                "wrong, framed in orange.",
                sheet,
            )
        )
        scenes = BoxCounts(name, tuple(boxes)) if boxes else Missing("the dataset has no boxes")
        out.append(Figure(f"data-{name}-boxes", f"{name}: objects per scene", "Boxes in each scene.", scenes))
        shown = tuple(pairs.get(name, ()))[:PAIRS]
        copies = CopyPairs(shown) if shown else Missing("no copies were found")
        out.append(Figure(f"data-{name}-copies", f"{name}: copies", "Pairs that show the same.", copies))
    light = {f["dataset"]: _shares(f["brightness"]["histogram"]) for f in reports if sum(f["brightness"]["histogram"])}
    numbers = Light(light) if light else Missing("there is no readable picture")
    return [*out, Figure("data-brightness", "Brightness", "Share of pictures by mean brightness.", numbers)]


def _shares(counts: Sequence[int]) -> tuple[float, ...]:
    return tuple(count / sum(counts) for count in counts)
