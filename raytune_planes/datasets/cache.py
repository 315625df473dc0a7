"""Decodes each picture once per machine and size into memory-mapped arrays that all trials share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from raytune_planes.datasets import building, early, notes, reopening, storage
from raytune_planes.datasets.base import Arrays, Reader
from raytune_planes.datasets.cleaning import Plan
from raytune_planes.datasets.filling import Progress, Target, fill
from raytune_planes.datasets.known import Known
from raytune_planes.datasets.options import LOSSLESS
from raytune_planes.datasets.wanted import Wanted, others, together
from raytune_planes.errors import DISK_FULL, UserError
from raytune_planes.paths import bytes_below, local, own_folder
from raytune_planes.processors import allowed

LIMIT_GIB = 20.0
"""Of the cache, unless ``--cache-limit`` says otherwise."""
SMALL_BYTES = 64 * 2**20
"""An entry up to this size is always kept ready to be mapped."""


def default_cache() -> Path:
    """``raytune-planes`` under ``$XDG_CACHE_HOME``, or under ``~/.cache``.

    Where the user's home is not there and cannot be made, as in containers that run as any user, it is a folder of this
    user among the temporary ones, and a warning says so once.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named:
        return local(named) / "raytune-planes"
    return own_folder(Path("~/.cache/raytune-planes"), "decoded pictures", "--cache or XDG_CACHE_HOME")


def entry(cache: Path, fingerprint: str) -> Path:
    """The folder that ``open_cached`` opens, to be handed to a process that has no reader."""
    return cache / fingerprint


def decode(
    reader: Reader,
    cache: Path,
    *,
    plan: Plan | None = None,
    beside: Sequence[Reader] = (),
    progress: Progress | None = None,
    workers: int | None = None,
    limit_bytes: int = round(LIMIT_GIB * 2**30),
    say: Callable[[str], None] = lambda _: None,
    at_once: bool = False,
) -> Arrays:
    """The reader's dataset as read-only arrays: built on the first call, opened from then on.

    Files are identified by name, size and time of change; while none below the root has changed, none is opened again.
    An entry that does not fit into the limit beside those in use is kept compressed, without loss: its arrays hold the
    same numbers, and decode what is indexed. An entry appears whole or not at all, so a killed build is never read. Of
    processes that ask for one entry at the same time, also on machines that share the folder, one builds it and the
    others wait.

    Args:
        plan: what is left out; a picture that it drops is never decoded.
        beside: readers of the same files at other sizes, for later calls: where pictures are decoded, their entries are
            built in the same pass. Every size holds what it would hold alone.
        progress: called with (pictures done, pictures in all) while building: in this thread, or in the one that
            builds on after this has returned (``at_once``).
        workers: decoding threads; None for one per processor that this process may use.
        limit_bytes: size of ``cache`` above which entries that no process uses are removed, longest unopened first.
        say: called when another process is waited for, and when pictures are compressed.
        at_once: return before all is decoded where the entry is large, of one size, of no scenes and not compressed: a
            row that is used, in any process of this machine, is then waited for and may raise ``BrokenPictures``.

    Raises:
        UserError: the dataset is missing or malformed, pictures cannot be decoded (names the first few, counts all),
            or the cache cannot be written.
    """
    known = Known(cache, reader, plan)
    found = known.found()
    arrays = found and _again(entry(cache, found.fingerprint), reader, at_once)
    if not found or not arrays:
        own = Wanted.of(reader, cache, plan, known)
        every, found = [own, *others(own, cache, plan, beside)], own.found
        tell = partial(_tell, say, reader.name_in_study)
        fill_all = partial(_fill_within, limit_bytes, cache, workers or allowed(), progress, tell)
        arrays = _begun(every, cache, workers or allowed(), limit_bytes, progress, tell) if at_once else None
        arrays = arrays or _built(every, cache, fill_all, tell)
    with _refusing(cache, reader):
        if not early.running(entry(cache, found.fingerprint)):
            storage.evict(cache, limit_bytes, keep=entry(cache, found.fingerprint))
    return replace(arrays, warnings=(*found.warnings, *notes.warnings_of(arrays.info)), limit_bytes=limit_bytes)


def _again(folder: Path, reader: Reader, at_once: bool) -> Arrays | None:
    """An entry that was there, or that this process decodes while it is used; None otherwise."""
    with _refusing(folder.parent, reader):
        arrays = reopening.opened_again(folder)
    return reopening.open_cached(folder) if not arrays and at_once and early.running(folder) else arrays


def _built(
    every: Sequence[Wanted],
    cache: Path,
    fill_all: Callable[[Sequence[Target]], None],
    tell: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> Arrays:
    """The arrays of the first of ``every``; all of them are there afterwards."""
    own = every[0]
    with _refusing(cache, own.reader, sum(wanted.size for wanted in every)):
        cache.mkdir(parents=True, exist_ok=True)
        together(sorted(every, key=lambda wanted: wanted.reader.image_size), (), reopening.sound, fill_all, tell, pause)
        arrays = building.once(
            own.folder, lambda: reopening.sound(own.folder), lambda room: fill_all([own.into(room)]), tell, pause
        )
    for wanted in every:
        wanted.known.remember(wanted.found)
    return arrays


def _tell(say: Callable[[str], None], name: str, text: str) -> None:
    say(f"{name}: {text}")


def _begun(
    every: Sequence[Wanted],
    cache: Path,
    workers: int,
    limit_bytes: int,
    progress: Progress | None,
    tell: Callable[[str], None],
) -> Arrays | None:
    """The arrays of an entry whose rows may be used while others are decoded; None where it has to be waited for."""
    own, is_plain = every[0], len(every) == 1 and every[0].reader.options.kept == LOSSLESS
    job = early.running(own.folder)
    with _refusing(cache, own.reader, own.size):
        cache.mkdir(parents=True, exist_ok=True)
        with storage.guard(cache):
            fits = storage.used_bytes(cache) + own.size <= limit_bytes
    if job is None and (not (is_plain and fits and own.size > SMALL_BYTES) or own.listing.scenes):
        return None

    def build(job: early.Early) -> None:
        _built(every, cache, lambda targets: fill(targets, workers, progress, job), tell, job.pause)
        with _refusing(cache, own.reader):
            storage.evict(cache, limit_bytes, keep=own.folder)

    job = job or early.started(own.folder, build)
    if job.is_over:
        job.finish()
    else:
        tell(f"training begins while its {len(own.listing.samples):,} pictures are decoded")
    own.known.remember(own.found)
    try:
        return reopening.open_cached(own.folder)
    except UserError:
        job.finish()  # tells why it is gone already
        raise


def _fill_within(
    limit_bytes: int,
    cache: Path,
    workers: int,
    progress: Progress | None,
    tell: Callable[[str], None],
    targets: Sequence[Target],
) -> None:
    """Fill the targets, compressed where the limit asks for it, and tell what became of these."""
    fitted = _fitted(targets, cache, limit_bytes, tell)
    fill(fitted, workers, progress)
    for target in fitted:
        if target.compressed:
            held = bytes_below(target.folder)
            still = ", still more than the limit: raise it or lower image_size" if held > limit_bytes else ""
            how = "compressed to" if target.reader.options.kept == LOSSLESS else "kept as JPEG, which takes"
            tell(f"{how} {held / 2**30:.1f} GiB{still}")


def _fitted(
    targets: Sequence[Target], cache: Path, limit_bytes: int, tell: Callable[[str], None]
) -> tuple[Target, ...]:
    """The targets, those compressed that do not fit into the limit beside the entries that are in use."""
    with storage.guard(cache):
        used = storage.used_bytes(cache)
    fitted = []
    for target in targets:
        fits = target.size <= SMALL_BYTES or used + target.size <= limit_bytes
        small = fits and target.reader.options.kept == LOSSLESS
        if not fits and target.reader.options.kept == LOSSLESS:
            beside = f", beside {used / 2**30:.1f} GiB in use," if used else ""
            tell(
                f"{target.size / 2**30:.1f} GiB of pictures at {target.reader.image_size} px{beside} are more than the "
                f"{limit_bytes / 2**30:.1f} GiB of --cache-limit; they are kept compressed without loss, which costs "
                f"about 1 ms for each picture of 224 px whenever it is read"
            )
        used += target.size
        fitted.append(replace(target, compressed=not small))
    return tuple(fitted)


@contextmanager
def _refusing(cache: Path, reader: Reader, size: int = 0) -> Iterator[None]:
    """Tells people what a failing disk means; ``size`` bytes were to be written."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise UserError(
                f"{reader.name_in_study}: no space for {size / 2**20:,.0f} MiB of decoded pictures in {cache}"
                f" ({error.strerror}); free some space, name another cache folder or lower its image_size"
            ) from error
        raise UserError(f"the cache folder {cache} cannot be used: {error}; name another") from error
