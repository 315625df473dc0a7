"""One process builds a folder of the cache; the others that ask for it at the same time wait until it is there.

A builder holds a folder ``.building-NAME`` beside the folder that it builds, with a file that stays locked while the
process lives: a killed builder is found dead at once. Where locks do not reach other machines, as in some network
folders, the builder renews the file's time, and one that a waiting process sees unchanged for ``STALE_S`` is dead.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from raytune_planes.datasets import storage
from raytune_planes.system import machine

T = TypeVar("T")
ALIVE = "alive"
"""The builder's file: locked, renewed, and telling who it is."""
POLL_S = 0.1
RENEW_S = 10.0
STALE_S = 120.0
"""A network folder may show the time of a file a minute late."""
ABANDONED_S = 3600.0
"""Age from which the remains of a builder on another machine are no longer waited for."""


def once(
    folder: Path,
    ready: Callable[[], T | None],
    build: Callable[[Path], None],
    say: Callable[[str], None] = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> T:
    """What ``ready`` opens in ``folder``, which is built first where it is not there.

    Args:
        ready: opens the folder, or returns None where there is none; called under ``storage.guard``.
        build: fills the new folder that it is given, which then takes the place of ``folder`` in one step.
        say: Called once, when another process is waited for.
        pause: Lets seconds pass while it is; what it raises ends the waiting.

    Raises:
        Exception: what ``ready`` or ``build`` raises; the next process that waits then builds.
    """
    holder, announced = _Holder(folder.with_name(f"{storage.BUILDING}{folder.name}")), False
    while True:
        with storage.guard(folder.parent):
            entry = ready()
            if entry is not None:
                return entry
            claim = None
            if holder.gone():
                remove_stale(folder.parent)
                holder.remove()
                claim = _Claim.on(holder.path)
        if claim is None:
            if not announced:
                announced = True
                say(f"waiting for {holder.name()}, which is decoding the same pictures")
            pause(POLL_S)
            continue
        with claim:
            try:
                build(claim.room)
            except OSError:
                if claim.held:
                    raise
                continue  # this machine was asleep, and another one builds by now
            with storage.guard(folder.parent):
                with suppress(OSError):  # others were faster: after such a sleep, or where nothing can be locked
                    claim.room.rename(folder)
                    storage.sync_folder(folder.parent)
                entry = ready()
            if entry is not None:
                return entry


def room_here(folder: Path, witness: str) -> tuple[Path, Callable[[], bool]] | None:
    """Where a living process of this machine builds ``folder`` and has put a file ``witness``, and what tells whether
    it still does so, or has ended it well. Call under ``storage.guard``."""
    holder = _Holder(folder.with_name(f"{storage.BUILDING}{folder.name}"))
    room = next((path.parent for path in storage.within(holder.path, f"*/{witness}")), None)
    if room is None or not holder.is_here() or holder.gone():
        return None
    return room, lambda: folder.is_dir() or not holder.gone()


def remove_stale(cache: Path) -> None:
    """Remove what killed processes left behind. Call under ``storage.guard``."""
    for folder in cache.glob(f"{storage.DISCARDED}*"):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in cache.glob(f"{storage.BUILDING}*"):
        holder = _Holder(folder)
        if holder.gone(ABANDONED_S):
            holder.remove()


class _Claim:
    """A folder of this process to build in, from ``on`` to the end of ``with``."""

    def __init__(self, path: Path) -> None:
        """Makes ``path``. Raises FileExistsError: another process has."""
        path.mkdir()
        self.room = path / uuid.uuid4().hex
        self._alive = path / ALIVE
        self._file = self._alive.open("w", encoding="utf-8")
        storage.share(self._file)
        json.dump({"machine": machine(), "host": socket.gethostname(), "pid": os.getpid()}, self._file)
        self._file.flush()
        self._inode = os.fstat(self._file.fileno()).st_ino
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="building", daemon=True)
        self.room.mkdir()

    @classmethod
    def on(cls, path: Path) -> _Claim | None:
        """None where another process was faster."""
        try:
            return cls(path)
        except FileExistsError:
            return None

    @property
    def held(self) -> bool:
        """Whether no other process has taken this one for dead."""
        try:
            return self._alive.stat().st_ino == self._inode
        except OSError:
            return False

    def __enter__(self) -> _Claim:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        if self.held:
            shutil.rmtree(self._alive.parent, ignore_errors=True)
        else:
            shutil.rmtree(self.room, ignore_errors=True)
        self._file.close()

    def _renew(self) -> None:
        while not self._over.wait(RENEW_S):
            with suppress(OSError):  # a folder that is away for a moment
                os.utime(self._alive)


class _Holder:
    """The process that holds a folder ``.building-NAME``, as others see it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last_renewal: tuple[int, float] | None = None

    def name(self) -> str:
        """The process, as text for messages."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            owner = json.loads((self.path / ALIVE).read_bytes())
            return f"process {owner['pid']} on {owner['host']}"
        return "another process"

    def is_here(self) -> bool:
        """Whether the process runs on this machine."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return bool(json.loads((self.path / ALIVE).read_bytes())["machine"] == machine())
        return False

    def gone(self, abandoned_s: float | None = None) -> bool:
        """Whether nobody builds there.

        Args:
            abandoned_s: also when the folder was not renewed for so long by this machine's clock; None to go by what
                earlier calls saw, which needs no clock that two machines share.
        """
        try:
            renewed_ns = self._renewed_ns()
        except FileNotFoundError:
            return not self.path.is_dir()
        if renewed_ns is None:
            return True
        if abandoned_s is not None:
            return time.time() - renewed_ns / 1e9 > abandoned_s
        now = time.monotonic()
        if self._last_renewal is None or self._last_renewal[0] != renewed_ns:
            self._last_renewal = renewed_ns, now
        return now - self._last_renewal[1] > STALE_S

    def remove(self) -> None:
        """Call under ``storage.guard`` when it is ``gone``."""
        with suppress(FileNotFoundError):
            storage.discard(self.path)

    def _renewed_ns(self) -> int | None:
        """When it last said that it lives; None when it is known to be dead."""
        alive = self.path / ALIVE
        if not alive.exists():  # killed between two lines, or left by an earlier version
            return self.path.stat().st_mtime_ns
        with alive.open("r+b") as file:  # to be written: else network folders refuse the lock
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return time.time_ns()
            except OSError:  # no locks here
                return os.fstat(file.fileno()).st_mtime_ns
            with suppress(ValueError, KeyError, TypeError):
                if json.loads(file.read())["machine"] == machine():
                    return None
            return os.fstat(file.fileno()).st_mtime_ns
