"""Paths that people name: files only where a file is read."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


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
