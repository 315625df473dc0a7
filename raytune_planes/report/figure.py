"""What a report is made of: figures as numbers, what is missing and why, tables, and the sections that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Missing:
    """Replaces the numbers of a figure: why there are none, as a message."""

    why: str


@dataclass(frozen=True)
class Figure:
    """One figure before it is drawn."""

    name: str
    """Of its files, without suffix."""
    title: str
    caption: str
    """How to read it, in one or two sentences."""
    numbers: Any
    """A dataclass that ``drawing.DRAW`` has a line for, or one with a method ``draw`` that returns a figure of
    matplotlib's (begin it with ``drawing.style.canvas``), or ``Missing``."""


@dataclass(frozen=True)
class Table:
    """Rows of text under a header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, in the order of the fields."""

    heading: str
    text: Sequence[str] = ()
    """Paragraphs."""
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    commands: Sequence[str] = ()
    """Lines to copy into a terminal."""


@dataclass(frozen=True)
class Report:
    """A page."""

    title: str
    lead: str
    """The answer, in a sentence or two."""
    sections: tuple[Section, ...]
    synthetic: bool = False
    """Some of the data was drawn by ``synth``: the page and every figure state it."""
