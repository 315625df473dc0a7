"""How readers find files: sorted listings that stay inside the root, lines of text, the message about missing data."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from raytune_planes.datasets.base import Reader
from raytune_planes.datasets.opening import SUFFIXES
from raytune_planes.errors import UserError

MARKER = "SYNTHETIC"
"""File that ``synth`` leaves in a dataset's folder, so that no result on drawn pictures passes for a real one."""
SHOWN = 5
"""Unreadable pictures named in the error; the rest is counted."""
PICTURES = frozenset(suffix for names in SUFFIXES.values() for suffix in names)


def absent(reader: Reader, looked_for: str) -> UserError:
    """The error for data that are not there: what was looked for, the tree, the source, and how to go on without."""
    return UserError(
        f"dataset '{reader.name_in_study}': {looked_for}\n"
        f"The expected files:\n{textwrap.indent(textwrap.dedent(reader.layout).strip(), '    ')}\n"
        f"Where they come from: {reader.source}\n"
        f"To go on without them, leave out --data (the study then runs on synthetic data), "
        f"or set datasets.{reader.name_in_study}.enabled=false."
    )


def expect_root(reader: Reader) -> Path:
    """The reader's root. Raises UserError when there is no such folder."""
    if not reader.root.is_dir():
        raise absent(reader, f"no folder {reader.root}")
    return reader.root


def walk(root: Path) -> Iterator[Path]:
    """Every file below ``root``, sorted, without hidden ones and without what archives made on a Mac add.

    Links to folders are not followed: what they show inside the root is listed at its own place.

    Raises:
        UserError: a link leads outside of the root.
    """
    return _walk(root, root)


def inside(root: Path, path: Path) -> Path:
    """``path``, which must lie below ``root`` also after following links. Raises UserError."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise UserError(
            f"{path} leads outside of {root} (to {path.resolve()}); "
            f"put the files themselves below {root}, or point datasets.<name>.root at the folder that holds them"
        )
    return path


def lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a text file with their numbers from 1, stripped, without blank ones and byte order mark.

    Raises:
        UserError: the file cannot be read as UTF-8 text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; it is expected to hold lines of labels or names") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    return [(n, stripped) for n, line in enumerate(text.splitlines(), 1) if (stripped := line.strip())]


def unreadable(why: Mapping[Path, str]) -> UserError:
    """The error for pictures that cannot be decoded, by path."""
    lines = [why[path] for path in sorted(why)]
    if len(lines) == 1:
        return UserError(lines[0])
    more = [f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    head = f"{len(lines)} pictures cannot be decoded; replace or remove them:"
    return UserError("\n".join([head, *(f"  - {line}" for line in lines[:SHOWN]), *more]))


def some(names: Sequence[object], most: int = 3) -> str:
    """``"a, b, c and 4 more"``: the first few of ``names`` for a message."""
    few = ", ".join(shown(str(name)) for name in names[:most])
    return few if len(names) <= most else f"{few} and {len(names) - most:,} more"


def shown(name: str) -> str:
    """A file's name for people: bytes that are no UTF-8 and what a terminal would obey are written out, ``\\xe9``."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace") if _in_file_names(name) else name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _in_file_names(name: str) -> bool:
    """Whether this text can come from a file's name in this locale; a text of ours may hold more."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def _walk(root: Path, folder: Path) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        if entry.is_symlink():
            inside(root, Path(entry.path))
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, Path(entry.path))
        elif entry.is_file():
            yield Path(entry.path)
