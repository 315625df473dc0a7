"""What a report is made of: figures as numbers, what is missing and why, tables, and the sections that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    first_rows: int | None = None
    """So many are seen at once on a screen, the others by a control; None: all. Files and paper have every row."""


@dataclass(frozen=True)
class Trials(Table):
    """A row a trial, which a page sorts and filters; the number of the trial is its first cell."""

    ends: tuple[str, ...] = ()
    """How the trial of each row ended."""
    best: int | None = None
    """Number of the trial whose row is highlighted."""
    first_columns: int = 0
    """So many are seen at once on a screen, the others by a control. Markdown has these alone, and says so."""


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
    data: Mapping[str, Any] = field(default_factory=dict)
    """What the page's script draws, as JSON: ``trials``, and under a figure's name what takes its place on a screen
    (see ``interactive``)."""
