"""What a benchmark returns: a table for people, the same figures for programs, and what it aims at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raytune_planes.report.summary import table


class Missing(Exception):
    """A benchmark cannot run on this machine; says what it needs."""


@dataclass(frozen=True)
class Aim:
    """A ratio of one run beside the value it should reach."""

    measure: str
    reached: float
    limit: float
    at_least: bool = False
    """Whether ``limit`` is the least, rather than the most, that is good."""

    @property
    def is_met(self) -> bool:
        return self.reached >= self.limit if self.at_least else self.reached <= self.limit

    def as_row(self) -> tuple[str, ...]:
        sign = ">=" if self.at_least else "<="
        return self.measure, f"{self.reached:.3g}", f"{sign} {self.limit:g}", "yes" if self.is_met else "NO"


@dataclass(frozen=True)
class Table:
    """One benchmark's result."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    figures: Mapping[str, Any]
    """For ``--json``."""
    notes: Sequence[str] = ()
    aims: Sequence[Aim] = ()
    """For the table at the end of all benchmarks."""

    def as_text(self) -> str:
        numbers = tuple(range(1, len(self.header)))
        return "\n".join([self.title, *table(self.header, self.rows, right=numbers), *self.notes])


def all_aims(results: Mapping[str, Table]) -> str:
    """One line per aim of every benchmark."""
    rows = [(name, *aim.as_row()) for name, result in results.items() for aim in result.aims]
    return "\n".join(["all aims", *table(("benchmark", "ratio", "reached", "aim", "met"), rows, right=(2, 3))])
