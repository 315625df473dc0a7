"""How readers find files: sorted listings that stay inside the root, lines of text, the message about missing data."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from raytune_planes.catalog import CATALOG
from raytune_planes.datasets.base import Reader
from raytune_planes.datasets.opening import SUFFIXES
from raytune_planes.errors import UserError
from raytune_planes.paths import regular, special
from raytune_planes.printing import printable

MARKER = "SYNTHETIC"
"""File that ``synth`` leaves in a dataset's folder, so that no result on drawn pictures passes for a real one."""
SHOWN = 5
"""Unreadable pictures named in the error; the rest is counted."""
OF_THE_DISK = frozenset({"lost+found", "$RECYCLE.BIN", "System Volume Information", "@eaDir"})
"""Folders that a file system or a storage server adds; some are closed to all but the administrator."""
PICTURES = frozenset(suffix for names in SUFFIXES.values() for suffix in names)


def absent(reader: Reader, looked_for: str, *instead: str) -> UserError:
    """The error for data that are not there: what was looked for, the tree, the source, and how to continue without.

    Args:
        instead: sentences on what is there.
    """
    there = "".join(f"{sentence}\n" for sentence in instead if sentence)
    return UserError(
        f"dataset '{reader.name_in_study}': {looked_for}\n{there}"
        f"The expected files:\n{textwrap.indent(textwrap.dedent(reader.layout).strip(), '    ')}\n"
        f"Where they come from: {reader.source}\n"
        f"To go on without them, set datasets.{reader.name_in_study}.enabled=false; without --data, the commands "
        "tune and train run on synthetic data."
    )


def expect_root(reader: Reader) -> Path:
    """The reader's root. Raises UserError when there is no such folder."""
    if not reader.root.is_dir():
        parent, setting = reader.root.parent, f"datasets.{reader.name_in_study}.root"
        below = reader.root.name in {entry.folder for entry in CATALOG.values()} and parent.is_dir()
        raise absent(
            reader,
            f"no folder {reader.root}",
            f"If {parent} is the dataset itself, set {setting}={parent}." if below else "",
        )
    return reader.root


def walk(root: Path, left_out: Callable[[UserError], None] | None = None) -> Iterator[Path]:
    """Every file below a folder that is no dataset, sorted, without hidden ones, the file system's own
    (``OF_THE_DISK``), and what archives made on a Mac add.

    Links to folders are not followed: what they show inside the root is listed at its own place.

    Args:
        left_out: Told why something was left out, where the rest is wanted all the same.

    Raises:
        UserError: without ``left_out``: a link leads outside of the root or to nothing, a folder cannot be read, or
            there is a named pipe, socket or device.
    """
    return _walk(root, root, left_out)


def lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a text file with their numbers from 1, stripped, without blank ones and byte order mark.

    Raises:
        UserError: the file cannot be read as UTF-8 text.
    """
    try:
        text = regular(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(
            f"{printable(path)} is not UTF-8 text; it is expected to hold lines of labels or names"
        ) from None
    except OSError as error:
        raise UserError(f"{printable(path)} cannot be read: {error.strerror or error}") from None
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
    shown = ", ".join(printable(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def _stays_inside(root: Path, link: Path) -> None:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: links that lead to each other
        raise UserError(
            f"{printable(link)} is a link that leads to nothing; remove it, or bring what it names"
        ) from None
    if not target.is_relative_to(root.resolve()):
        raise UserError(
            f"{printable(link)} leads outside of {printable(root)} (to {printable(target)}), and a folder is not left "
            f"by its links; name the link itself to have it read"
        )


def _walk(root: Path, folder: Path, left_out: Callable[[UserError], None] | None) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except PermissionError as error:
        closed = UserError(f"{printable(folder)} cannot be read: {error.strerror}")
        if left_out is None:
            raise closed from None
        left_out(closed)
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "__MACOSX" or entry.name in OF_THE_DISK:
            continue
        path = Path(entry.path)
        try:
            if entry.is_symlink():
                _stays_inside(root, path)
            if kind := special(path):
                raise UserError(f"{printable(path)} is {kind}, not a file; remove it from {printable(root)}")
        except UserError as error:
            if left_out is None:
                raise
            left_out(error)
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, path, left_out)
        elif entry.is_file():
            yield path
