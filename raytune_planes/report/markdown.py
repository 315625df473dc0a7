"""Markdown whose text comes from files: names that say nothing but themselves, and tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from raytune_planes.printing import printable

MARKUP = re.compile(r"([\\`*_\[\]<>|&~!#$@]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
"""What Markdown, also GitHub's with its links from plain addresses, may read as more than itself within a line. None of
our lines begins with text of a file."""
PLAIN = re.compile(r"[\w./=+-]+", re.ASCII)


def escaped(text: object) -> str:
    """``text`` as it is shown: no markup, link or HTML of its own, on one line."""
    return MARKUP.sub(r"\\\1", printable(text))


def code(text: object) -> str:
    """In the type of code where that can hold it, else escaped."""
    return f"`{text}`" if PLAIN.fullmatch(str(text)) else escaped(text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Lines of a table whose cells are Markdown; the columns numbered in ``right`` end at the same place."""
    rule = ["---:" if i in right else "---" for i in range(len(header))]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
