"""Entries that are to be in the cache: one dataset at one size or at several, built in one pass over its files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from raytune_planes.datasets import building
from raytune_planes.datasets.base import Listing, Reader
from raytune_planes.datasets.cleaning import Plan, cleaned
from raytune_planes.datasets.filling import Target
from raytune_planes.datasets.fingerprint import fingerprint
from raytune_planes.datasets.known import Found, Known


@dataclass(frozen=True)
class Wanted:
    """An entry that is to be there."""

    reader: Reader
    known: Known
    listing: Listing
    folder: Path

    @classmethod
    def of(cls, reader: Reader, cache: Path, plan: Plan | None, known: Known) -> Wanted:
        listing = reader.scan() if plan is None else cleaned(reader.scan(), reader.root, plan)
        assert listing.samples, f"{type(reader).__name__} listed nothing"
        return cls(reader, known, listing, cache / fingerprint(reader, listing))

    def into(self, room: Path) -> Target:
        return Target(self.reader, self.listing, room)

    @property
    def found(self) -> Found:
        return Found(self.folder.name, tuple(self.listing.warnings))

    @property
    def size(self) -> int:
        return self.into(self.folder).size


def others(own: Wanted, cache: Path, plan: Plan | None, readers: Sequence[Reader]) -> Iterator[Wanted]:
    """The entries of the same samples at other sizes that are not there yet."""
    sizes = {own.reader.image_size}
    for reader in readers:
        if reader.image_size in sizes:
            continue
        sizes.add(reader.image_size)
        known = Known(cache, reader, plan)
        found = known.found()
        if found is None or not (cache / found.fingerprint).is_dir():
            wanted = Wanted.of(reader, cache, plan, known)
            if wanted.listing.samples == own.listing.samples:
                yield wanted


def together(
    wanted: Sequence[Wanted],
    targets: tuple[Target, ...],
    ready: Callable[[Path], object | None],
    build: Callable[[Sequence[Target]], None],
    tell: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Build those of ``wanted`` that are not there, all in one pass; each is held from before the pass to its end.

    Call it with the smallest first, and with no ``targets``: in one order for all processes, so that of two none waits
    for what the other holds.
    """
    if not wanted:
        if targets:
            build(targets)
        return
    first, *others = wanted
    held = False

    def with_others(room: Path) -> None:
        nonlocal held
        held = True
        together(others, (*targets, first.into(room)), ready, build, tell, pause)

    building.once(first.folder, lambda: ready(first.folder), with_others, tell, pause)
    if not held:
        together(others, targets, ready, build, tell, pause)
