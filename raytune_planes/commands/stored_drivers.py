"""Who drives which study of an object store on this host: locks between its processes, and who was the last."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from raytune_planes.tracking import files

DRIVEN, LAST, LOCK = ".driving-", ".last.json", ".last.lock"
"""Begins the name of a study's lock on this host; who drove each study last, as far as this host knows; its lock."""


def remember(folder: Path, name: str, run: str) -> None:
    """Note that ``run`` has the study now; one process after the other, so that none forgets what another noted."""
    with (folder / LOCK).open("ab") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        files.write_whole(folder / LAST, json.dumps({**last(folder), name: run}))


def last(folder: Path) -> dict[str, str]:
    with suppress(FileNotFoundError, ValueError):
        return dict(json.loads((folder / LAST).read_bytes()))
    return {}


@contextmanager
def driven_here(folder: Path, name: str) -> Iterator[None]:
    """Tells other commands of this host that the study's files here are ahead of the store."""
    with (folder / f"{DRIVEN}{name}").open("ab") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield


def is_free(path: Path) -> bool:
    with undriven(path) as nobody_has_it:
        return nobody_has_it


@contextmanager
def undriven(path: Path) -> Iterator[bool]:
    """Whether no process of this host drives the study of this lock; if so, none begins to before the block ends."""
    with path.open("ab") as file:
        nobody_has_it = False
        with suppress(BlockingIOError):
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
            nobody_has_it = True
        yield nobody_has_it
