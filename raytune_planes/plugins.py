"""Datasets, tasks, backbones and trackers that other packages bring, found by their entry points."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

GROUPS: Mapping[str, str] = {
    "datasets": "a raytune_planes.catalog.Entry, which names the reader",
    "tasks": "a raytune_planes.tasks.base.Task, which names the implementation",
    "trackers": "a callable (folder of the results) -> raytune_planes.tracking.base.Tracker",
}
"""Kind -> what the entry point of the group ``raytune_planes.<kind>`` must name. The entry point's own name is the
name that settings use."""


@dataclass(frozen=True)
class Plugin:
    """One entry point of another package."""

    kind: str
    name: str
    value: str
    """``module:attribute``."""
    package: str
    version: str


def installed(kind: str) -> tuple[Plugin, ...]:
    """The plugins of one kind, by name, whether or not they can be loaded."""
    return tuple(
        Plugin(
            kind,
            point.name,
            point.value,
            point.dist.name if point.dist else "",
            point.dist.version if point.dist else "",
        )
        for point in sorted(_points(kind), key=lambda point: point.name)
    )


def joined(kind: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """``table`` and, after its own rows, those of the installed plugins.

    A plugin that cannot be loaded, or whose name is taken, is left out and named on standard error: it must not stop
    work that does not need it.
    """
    rows = dict(table)
    for point in sorted(_points(kind), key=lambda point: point.name):
        if point.name in rows:
            _left_out(kind, point, f"'{point.name}' exists already; the plugin needs another name")
            continue
        try:
            rows[point.name] = point.load()
        except Exception as error:  # whatever a foreign module raises when it is imported
            _left_out(kind, point, f"{type(error).__name__}: {error}")
    return rows


@cache
def _points(kind: str) -> tuple[EntryPoint, ...]:
    assert kind in GROUPS, f"no plugins of kind '{kind}'"
    return tuple(entry_points(group=f"raytune_planes.{kind}"))


def _left_out(kind: str, point: EntryPoint, why: str) -> None:
    package = f" of the package {point.dist.name}" if point.dist else ""
    print(f"raytune-planes: plugin {kind}/{point.name}{package} is left out: {why}", file=sys.stderr)
