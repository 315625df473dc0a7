"""Notices writes outside of a folder, connections and child processes, by Python's audit events."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITES = {"os.remove": 1, "os.rename": 2, "os.rmdir": 1, "os.mkdir": 1, "os.link": 2, "os.symlink": 2, "os.chmod": 1}
"""Event -> how many of its first arguments are paths."""
_NEVER = ("socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.exec", "os.fork", "exec_untrusted")
_fences: list[tuple[Path, list[str]]] = []


@contextmanager
def fence(folder: Path) -> Iterator[list[str]]:
    """Yields a list to which every write outside of ``folder`` is added while the block runs."""
    if not _hooked:
        sys.addaudithook(_notice)  # can never be removed, hence the list of fences that are up
        _hooked.append(True)
    tempfile.gettempdir()  # looks for its folder once, with a lock and a file: not while the fence is up
    found: list[str] = []
    _fences.append((folder.resolve(), found))
    try:
        yield found
    finally:
        _fences.pop()


_hooked: list[bool] = []


def _notice(event: str, arguments: tuple[Any, ...]) -> None:
    if not _fences:
        return
    folder, found = _fences[-1]
    if event in _NEVER:
        found.append(f"{event} {arguments}")
    elif event in _WRITES:
        found += [f"{event} {p}" for p in arguments[: _WRITES[event]] if _outside(p, folder)]
    elif event == "open":
        path, mode, flags = arguments
        writes = any(c in mode for c in "wax+") if mode else flags and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and not isinstance(path, int) and _outside(path, folder):
            found.append(f"open {path!r} {mode}")


def _outside(path: Any, folder: Path) -> bool:
    real = Path(os.path.realpath(os.fsdecode(path)))
    allowed = (folder, Path("/dev/null"), Path(tempfile.gettempdir()) / "__pycache__")
    return not any(real == place or place in real.parents for place in allowed) and "__pycache__" not in real.parts
