"""Decodes an entry of the cache in a thread, so that training begins with the rows that are there."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

from raytune_planes.datasets import storage
from raytune_planes.datasets.base import Sample
from raytune_planes.datasets.pending import BROKEN, STATE, THERE, State
from raytune_planes.errors import UserError

T = TypeVar("T")
FILES_AT_ONCE = 8
"""Files that a thread takes in a row: what is asked for meanwhile waits for so many at most."""
TAKEN_OVER = "another process decodes the pictures now; start again"


class Stopped(Exception):
    """The decoding was given up, since its process ends."""


class Early:
    """One entry that a thread of this process builds while its rows are used already."""

    def __init__(self, folder: Path, build: Callable[[Early], object]) -> None:
        """``build``: decodes everything; calls ``begin``, ``order`` and ``done`` meanwhile."""
        self._folder, self._build = folder, build
        self._settled, self._stop = threading.Event(), threading.Event()
        self._state: State | None = None
        self.room: Path | None = None
        """The folder that is being filled, once its rows may be used."""
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="early", daemon=True)

    def start(self) -> None:
        """Returns when the rows may be used, or when it has ended before."""
        self._thread.start()
        self._settled.wait()
        if self.room is None:  # its error is to be seen at once
            self._thread.join()

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def begin(self, room: Path, count: int) -> None:
        """From now on the rows of ``room`` may be used. Raises OSError."""
        before, (self._state, self.room) = self._state, (State.made(room / STATE, count), room)
        if before is not None:
            before.tell(TAKEN_OVER)
        self._settled.set()

    def pause(self, seconds: float) -> None:
        """Wait for another process. Raises Stopped."""
        if self._stop.wait(seconds):
            raise Stopped

    def each(self, work: Iterable[T]) -> Iterator[T]:
        """``work``, one after the other. Raises Stopped."""
        for item in work:
            self.pause(0)
            yield item

    def order(self, samples: Sequence[Sample]) -> Iterator[Sequence[int]]:
        """The rows, some files at a time: what is asked for first, then the others as they are listed.

        Not to be shared by threads without a lock. Raises Stopped.
        """
        starts = [row for row in range(len(samples)) if not row or samples[row].path != samples[row - 1].path]
        file_of_N = np.repeat(np.arange(len(starts)), np.diff([*starts, len(samples)]))
        ends, taken_F, next_file = [*starts[1:], len(samples)], np.zeros(len(starts), bool), 0
        while not taken_F.all():
            if self._stop.is_set():
                raise Stopped
            asked_F = np.unique(file_of_N[self._state.asked_N > 0]) if self._state else np.zeros(0, int)
            chosen = asked_F[~taken_F[asked_F]][:FILES_AT_ONCE]
            if not len(chosen):
                next_file += int(np.argmin(taken_F[next_file:]))
                chosen = next_file + np.flatnonzero(~taken_F[next_file : next_file + FILES_AT_ONCE])
            taken_F[chosen] = True
            yield [row for file in chosen.tolist() for row in range(starts[file], ends[file])]

    def done(self, rows: Sequence[int], broken: Sequence[int]) -> None:
        """These rows are written, but for the broken ones."""
        if self._state is not None and len(rows):
            states = np.full(len(rows), THERE, np.uint8)
            states[np.isin(rows, broken)] = BROKEN
            self._state.rows_N[np.asarray(rows)] = states

    def stop(self) -> None:
        """Give it up; returns when nothing is written any more."""
        self._stop.set()
        if self._thread.ident is not None:  # Ctrl-C may come before it starts
            self._thread.join()

    def finish(self) -> None:
        """Wait for its end. Raises what made it fail."""
        while self._thread.is_alive():
            self._thread.join(0.2)  # without a limit, Ctrl-C would wait too
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            self._build(self)
            if self._state is not None and not self._state.is_complete:  # this machine was asleep meanwhile
                self._state.tell(TAKEN_OVER)
            with suppress(OSError), storage.guard(self._folder.parent):
                (self._folder / STATE).unlink(missing_ok=True)
        except BaseException as error:
            self.error = error
            if self._state is not None:
                whole = str(error) if isinstance(error, UserError) else f"decoding has ended: {error!r}"
                self._state.tell(whole)
        finally:
            self._settled.set()


_running: dict[Path, Early] = {}
"""Of this process, by the entry that is built."""


def running(folder: Path) -> Early | None:
    """What builds this entry in this process and has begun."""
    found = _running.get(folder)
    return found if found is not None and not found.is_over and found.room is not None else None


def started(folder: Path, build: Callable[[Early], object]) -> Early:
    """One that has begun, or has ended already."""
    _running[folder] = early = Early(folder, build)
    early.start()
    return early


def broken() -> str:
    """Why the pictures of a training of this process cannot be decoded; empty where nothing is wrong, or known yet."""
    return next((str(early.error) for early in _running.values() if isinstance(early.error, UserError)), "")


def refuse_broken() -> None:
    """Raises UserError: see ``broken``."""
    if reason := broken():
        raise UserError(reason)


def finish(say: Callable[[str], None]) -> None:
    """Wait until everything is decoded, so that the next run opens it. Raises what made it fail: UserError, OSError."""
    for early in list(_running.values()):
        if not early.is_over:
            say("Decoding the rest of the pictures, for the next run")
        del _running[early._folder]
        try:
            early.finish()
        except UserError as error:
            raise UserError(f"the results stand, since they used none of these pictures, but: {error}") from None
        except BaseException:
            early.stop()
            raise


def stop() -> None:
    """Give up what is being decoded."""
    while _running:
        _running.popitem()[1].stop()


@contextmanager
def given_up() -> Iterator[None]:
    """What is not decoded at the end of ``with``, as after Ctrl-C or an error, is given up and forgotten: the next run
    of this process begins anew."""
    try:
        yield
    finally:
        stop()


atexit.register(stop)
