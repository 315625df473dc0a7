"""The folder of a training whose --out was not given: a new number for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from raytune_planes.errors import UserError
from raytune_planes.invocation import RESULTS
from raytune_planes.tracking import files

FIRST = "train"
"""The first training's folder in the results; the next are ``train-2``, ``train-3``."""


def numbered_folder(results: Path = RESULTS, *, resume: bool = False) -> Path:
    """A new folder in ``results``, which is made and told of; with ``resume`` the one that was made last.

    Of two trainings that begin at the same time, each gets one of its own: whoever makes it has it.
    """
    found = [(re.fullmatch(rf"{FIRST}(?:-(\d+))?", path.name), path) for path in results.glob(f"{FIRST}*")]
    known = {int(name[1] or 1): path for name, path in found if name}
    if resume:
        return known[max(known)] if known else results / FIRST
    number = max(known, default=1)
    while True:
        folder = results / (FIRST if number == 1 else f"{FIRST}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        if number > 1:
            print(f"This training is in {folder}; those before it stay")
        return folder


@contextmanager
def nothing_stays(folder: Path, made: bool, is_new: Callable[[], bool]) -> Iterator[None]:
    """Of a training that is refused while ``is_new`` holds, its settings are removed, and its folder where it was
    ``made``."""
    try:
        yield
    except UserError:
        if is_new():
            with suppress(OSError):
                (folder / files.CONFIG).unlink(missing_ok=True)
                if made:
                    folder.rmdir()
        raise
