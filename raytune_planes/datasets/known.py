"""Finds a dataset's decoded entry again without reading a picture, as long as no file below its root has changed.

Listing a dataset opens its pictures and labels, and cuts scenes into tiles. The result is kept in the cache, by
the names, sizes and times of all files below the root: whatever is added, removed or changed has the dataset listed
again, and every file accounted for.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from raytune_planes.datasets.base import Reader
from raytune_planes.datasets.cleaning import Plan
from raytune_planes.datasets.fingerprint import FORMAT
from raytune_planes.tracking.files import write_whole

SETTLED_S = 2.0
"""A file that changed less than this ago may change again without another time or size."""


@dataclass(frozen=True)
class Found:
    """The result of a listing."""

    fingerprint: str
    warnings: tuple[str, ...]


class Known:
    """The state of a reader's files as they are now, and what was found in this state before."""

    def __init__(self, cache: Path, reader: Reader, plan: Plan | None) -> None:
        """Call it before the files are listed: what changes in between is then seen by the next one."""
        kind = type(reader)
        key = _digest([kind.__module__, kind.__qualname__, reader.root.absolute(), _settings(reader), plan])
        self._path = cache / f".known-{key}"
        now_ns, states = time.time_ns(), _states(reader.root)
        self._settled = all(abs(now_ns - changed_ns) > SETTLED_S * 1e9 for _, _, changed_ns, _, _ in states)
        self._files = _digest([FORMAT, _code(reader), *states])

    def found(self) -> Found | None:
        """The result of a listing of exactly these files; None where there was none."""
        try:
            kept = json.loads(self._path.read_bytes())
            return Found(kept["fingerprint"], tuple(kept["warnings"])) if kept["files"] == self._files else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, listing: Found) -> None:
        """Keep it, unless a file changed a moment ago."""
        if self._settled:
            with suppress(OSError):  # a cache that is read-only to us, or full: the files are then listed each time
                kept = {"files": self._files, "fingerprint": listing.fingerprint, "warnings": listing.warnings}
                write_whole(self._path, json.dumps(kept))


def _digest(values: Iterable[object]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        digest.update((repr(value) + "\n").encode(errors="surrogateescape"))
    return digest.hexdigest()


def _settings(reader: Reader) -> list[tuple[str, object]]:
    """All that a reader was told, but what it remembers of the files."""
    return sorted((name, value) for name, value in vars(reader).items() if not name.startswith("_"))


def _code(reader: Reader) -> list[tuple[str, int, int]]:
    """The state of the files that list: another version may list differently."""
    files = {*Path(__file__).parent.rglob("*.py")}
    with suppress(OSError, TypeError):  # a class that was typed in
        files.add(Path(inspect.getfile(type(reader))))
    return [(str(path), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in sorted(files)]


def _states(root: Path) -> list[tuple[str, int, int, int, str]]:
    """Name below the root, size, time of change, time of the entry's change and, of a link, its end: of all files."""
    return sorted(_walk(str(root), "", set()))


def _walk(folder: str, below: str, visited: set[tuple[int, int]]) -> Iterator[tuple[str, int, int, int, str]]:
    with suppress(OSError):  # listing tells
        stat = os.stat(folder)
        if (stat.st_dev, stat.st_ino) in visited:
            return
        visited.add((stat.st_dev, stat.st_ino))
        for entry in os.scandir(folder):
            name = f"{below}/{entry.name}"
            end = os.path.realpath(entry.path) if entry.is_symlink() else ""
            try:
                own = entry.stat()
            except OSError as error:
                yield name, -(error.errno or 1), 0, 0, end
                continue
            if entry.is_dir():
                yield name, -1, 0, 0, end
                yield from _walk(entry.path, name, visited)
            else:
                yield name, own.st_size, own.st_mtime_ns, own.st_ctime_ns, end
