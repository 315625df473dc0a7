"""Paths that people name: of this machine only, and files only where a file is read."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from raytune_planes.errors import UserError

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""``s3://bucket/x``, also where somebody's ``Path`` has already made it ``s3:/bucket/x``; not a drive, ``C:/``."""
KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def local(text: str) -> Path:
    """``text`` as a path.

    Raises:
        UserError: it is the address of an object store or server. As a path it would be a folder named ``s3:`` here.
    """
    if ADDRESS.match(text):
        raise UserError(
            f"'{text}' is an address, and files are read and written on this machine alone; give the path of a folder "
            "or file, also one where the store is mounted"
        )
    return Path(text)


def regular(path: Path) -> Path:
    """``path``, unless it is a pipe, socket or device, of which reading might never end.

    Raises:
        OSError: it is one, or there is nothing.
    """
    if kind := special(path):
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", os.fspath(path))
    return path


def special(path: Path) -> str:
    """What ``path`` is, for people, where it is neither file nor folder; empty for those. Raises OSError."""
    return KINDS.get(stat.S_IFMT(path.stat().st_mode), "")


def shortened(name: str, most: int) -> str:
    """The beginning of ``name`` that takes ``most`` bytes on disk at most, cut between letters."""
    while len(os.fsencode(name)) > most:
        name = name[:-1]
    return name


def start(path: Path, size: int = 4096) -> bytes:
    """The first ``size`` bytes of a file; none where it cannot be read."""
    try:
        with regular(path).open("rb") as file:
            return file.read(size)
    except OSError:
        return b""
