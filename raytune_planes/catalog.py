"""The datasets there are: one line each. Another dataset is a file in ``datasets/`` and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from raytune_planes.plugins import Joined, joined


class Entry(NamedTuple):
    """Where a dataset's code and files are, and the settings in which it differs from the common defaults."""

    reader: str
    """``module:Class``, a subclass of ``datasets.base.Reader``."""
    folder: str
    """Folder under ``--data DIR``."""
    defaults: Mapping[str, object]
    """Dotted settings below ``datasets.<name>``."""
    primary: str
    """The validation metric that stopping and the default goal look at."""
    standard: bool = False
    """Takes part unless a setting takes it out. Any other joins where a setting names it, such as
    ``datasets.mine.enabled=true``: studies from before it stay as they were, and its folder is needed only there."""
    view: str = "overhead"
    """From where its pictures were taken: ``overhead``, or ``side`` for photographs, which have an up."""
    licence: str = ""
    """Of its pictures and labels, as their owners state it; empty where that is not known."""


def _problem(name: str, row: Any) -> str:
    return "" if isinstance(row, Entry) else f"{row!r} is no raytune_planes.catalog.Entry"


CATALOG: Joined[Entry] = joined(
    "datasets",
    {
        "planesnet": Entry(
            "raytune_planes.datasets.planesnet:PlanesNet",
            "planesnet",
            {"image_size": 24},
            "accuracy",
            standard=True,
            licence="unknown: its owner (github.com/rhammell/planesnet) states none there; the pictures are Planet's",
        ),
        "hrplanes": Entry(
            "raytune_planes.datasets.hrplanes:HRPlanes",
            "hrplanes",
            {"image_size": 64},
            "iou",
            standard=True,
            licence="CC BY-NC-ND 4.0, for academic purposes only; the pictures are Google Earth's and under its terms",
        ),
        "fgvc": Entry(
            "raytune_planes.datasets.fgvc:FGVCAircraft",
            "fgvc-aircraft-2013b",
            {"image_size": 64},
            "accuracy",
            standard=True,
            view="side",
            licence="for non-commercial research only; the photographers keep the copyright of their pictures",
        ),
        "image_folder": Entry("raytune_planes.datasets.image_folder:ImageFolder", "image_folder", {}, "accuracy"),
    },
    _problem,
)


def standard() -> tuple[str, ...]:
    """The datasets that take part unless a setting takes them out."""
    return tuple(name for name, entry in CATALOG.items() if entry.standard)


def entry(name: str, reader: str = "") -> Entry:
    """The entry that reads the dataset ``name``: that of ``reader`` where one is named, else its own."""
    return CATALOG[reader or name]


def primary_metric(name: str, reader: str = "") -> str:
    """The validation metric of the dataset ``name`` that stopping and the default goal look at."""
    return entry(name, reader).primary
