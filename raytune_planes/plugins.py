"""Tables of what can be exchanged: their own rows, and those that other packages bring by entry points."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar, cast

Row = TypeVar("Row")

PREFIX = "raytune_planes."
"""Begins the names of our groups of entry points."""

GROUPS: Mapping[str, str] = {
    "datasets": "a raytune_planes.catalog.Entry, which names the reader",
    "tasks": "a raytune_planes.tasks.base.Task, which names the implementation",
    "backbones": "a raytune_planes.encoders.Encoder, which names the network",
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


def named(where: str) -> Any:
    """What ``module:attribute`` names; imports the module."""
    return EntryPoint("", where, "").load()


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
        for point in _points(kind)
    )


def unread() -> Mapping[str, str]:
    """Each group of entry points whose name begins as ours do and that nothing reads -> a package that has it."""
    points = {group: next(iter(entry_points(group=group))) for group in entry_points().groups}
    mine = {group: point for group, point in points.items() if group.startswith(PREFIX)}
    return {g: p.dist.name if p.dist else "" for g, p in sorted(mine.items()) if g.removeprefix(PREFIX) not in GROUPS}


class Joined(Mapping[str, Row]):
    """A table and, after its own rows, those of the installed plugins.

    An own row may be written as plugins' are, ``module:attribute``. Both are loaded when the table is first read, not
    when it is made: their modules import what rows are made of, which may lie in the very module that makes the table.
    A plugin that cannot be loaded, whose name is taken or whose row is refused is left out and named on standard error:
    it must not stop work that does not need it.
    """

    def __init__(self, kind: str, own: Mapping[str, Row | str], problem: Callable[[str, Any], str]) -> None:
        self._kind, self._own, self._problem = kind, own, problem
        self._rows: dict[str, Row] | None = None
        self._left_out: dict[str, str] = {}

    @property
    def left_out(self) -> Mapping[str, str]:
        """Name of each plugin that is not in the table -> why."""
        self._read()
        return self._left_out

    def __getitem__(self, name: str) -> Row:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, Row]:
        if self._rows is None:
            rows: dict[str, Row] = {name: self._loaded(name, row) for name, row in self._own.items()}
            for point in _points(self._kind):
                why = f"'{point.name}' exists already; the plugin needs another name" if point.name in rows else ""
                try:
                    row: Any = None if why else point.load()
                    why = why or self._problem(point.name, row)
                except Exception as error:  # whatever a foreign module raises when it is imported
                    why = f"{type(error).__name__}: {error}"
                if why:
                    self._leave_out(point, why)
                else:
                    rows[point.name] = row
            self._rows = rows
        return self._rows

    def _loaded(self, name: str, row: Row | str) -> Row:
        loaded: Any = named(row) if isinstance(row, str) else row
        assert not (why := self._problem(name, loaded)), f"{self._kind}/{name}: {why}"
        return cast(Row, loaded)

    def _leave_out(self, point: EntryPoint, why: str) -> None:
        if point.name not in self._left_out:
            self._left_out[point.name] = why
            package = f" of the package {point.dist.name}" if point.dist else ""
            print(f"raytune-planes: plugin {self._kind}/{point.name}{package} is left out: {why}", file=sys.stderr)


def joined(kind: str, own: Mapping[str, Row | str], problem: Callable[[str, Any], str]) -> Joined[Row]:
    """The table of one kind.

    Args:
        kind: One of ``GROUPS``.
        own: The project's own rows, by name, or where each is: ``module:attribute``.
        problem: (name, what the entry point names) -> why it cannot be a row, or "".
    """
    assert kind in GROUPS, f"no plugins of kind '{kind}'"
    return Joined(kind, own, problem)


@cache
def _points(kind: str) -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=PREFIX + kind), key=lambda point: point.name))
