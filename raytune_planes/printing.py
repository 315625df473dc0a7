"""Text for people: names from files made safe for a terminal, which control sequences could steer, and counts."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

CONTROL = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
"""Control characters, separators of lines, marks that turn the direction of text, and bytes that are no UTF-8."""
RESET = "\x1b[0m"
"""Ends all colours and nothing else. Ray's copy of colorama writes it to a terminal when the process ends."""
COMMAND = re.compile(r"raytune[-_]planes ")
IN_A_LINE, IN_TEXT = re.compile(f"[{CONTROL}]"), re.compile(f"(?![\n\t])[{CONTROL}]")


def printable(text: object, *, lines: bool = False) -> str:
    r"""``text`` with all that a terminal would obey, or could not show, as an escape: ``\x1b``, ``\n``, ``\u202e``.

    Args:
        lines: Ends of lines and tabs stay: for whole messages. A name has neither.
    """
    return (IN_TEXT if lines else IN_A_LINE).sub(_escaped, _utf8(str(text)))


def counted(number: float, noun: str, several: str = "") -> str:
    """``1 pair``, ``2 pairs``, ``1,200 boxes``: a count in a sentence; ``several`` where the plural is not noun + s."""
    return f"{number:{',' if isinstance(number, int) else 'g'}} {noun if number == 1 else several or noun + 's'}"


def in_number(number: int, what: str) -> str:
    """``1 file of no picture``, ``2 files of no picture``: of ``what``, which begins with a plural and has no verb."""
    several, *rest = what.split(" ", 1)
    return " ".join([counted(number, {"boxes": "box"}.get(several, several.removesuffix("s")), several), *rest])


def told(text: str) -> None:
    """To the person who waits; not to standard output, which a program may read."""
    print(text, file=sys.stderr, flush=True)


def by_words(text: str, stream: Any) -> str:
    """``text`` for ``stream``: where that is a terminal, lines too long for it are broken between words.

    Lines of a table and commands stay whole, so that columns stand and what is pasted is one line.
    """
    if not stream.isatty():
        return text
    columns = shutil.get_terminal_size().columns

    def broken(line: str) -> str:
        prose = line.lstrip()
        if len(line) <= columns or "  " in prose or COMMAND.search(line):
            return line
        margin = line[: len(line) - len(prose)]
        wrapper = textwrap.TextWrapper(columns, margin, margin, break_long_words=False, break_on_hyphens=False)
        return wrapper.fill(prose)

    return "\n".join(map(broken, text.split("\n")))


def size_text(size: float) -> str:
    """Bytes for people."""
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"


def time_text(seconds: float) -> str:
    """``41 s``, ``12 min``, ``3.5 h``: a time for people, with as much of it as tells two apart."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def roughly(seconds: float) -> str:
    """An estimated time for people, of a second at least."""
    return time_text(max(1, seconds))


def _utf8(text: str) -> str:
    """A name that Python read byte by byte, as in an ASCII locale, as the UTF-8 that its bytes are."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return text


@contextmanager
def safe_output() -> Iterator[None]:
    """All that is written to standard output and error while the block runs is printable."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = safe(sys.stdout), safe(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def safe(stream: Any) -> Any:
    """``stream``, to which only printable text is written."""
    return stream if isinstance(stream, _Safe) else _Safe(stream)


def unguarded(stream: Any) -> Any:
    """What lies behind ``safe``: for who draws on a terminal, and makes printable what it draws."""
    return stream.stream if isinstance(stream, _Safe) else stream


class _Safe:
    """A text stream in front of another one."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        shown = text if text == RESET else printable(text, lines=True)
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        self.stream.write(shown.encode(encoding, "backslashreplace").decode(encoding))  # an ASCII terminal shows \xe9
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte of a name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return match[0].encode("unicode_escape").decode("ascii")
