"""What a benchmark returns: a table for people, and the same figures for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raytune_planes.report.summary import table


class Missing(Exception):
    """A benchmark cannot run on this machine; says what it needs."""


@dataclass(frozen=True)
class Table:
    """One benchmark's result."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    figures: Mapping[str, Any]
    """For ``--json``."""
    notes: Sequence[str] = ()

    def as_text(self) -> str:
        numbers = tuple(range(1, len(self.header)))
        return "\n".join([self.title, *table(self.header, self.rows, right=numbers), *self.notes])
