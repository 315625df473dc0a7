"""Files of the decoded cache: memory maps that lock what they show, and removal of what is unused.

A mapped file stays share-locked (``flock``) exactly as long as its array lives, because the map keeps the open file.
So eviction sees which entries are in use by any process of the machine, and a killed process leaves nothing locked.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np

from raytune_planes.paths import bytes_below

ENTRY = re.compile(r"[0-9a-f]{32}")
BUILDING, DISCARDED = ".building-", ".discarded-"
WITNESS = "images.npy"
"""The file whose lock says that a folder is in use."""


@contextmanager
def guard(cache: Path) -> Iterator[None]:
    """One process at a time creates, opens or removes folders of ``cache``; held for milliseconds.

    Where the cache cannot be written or locked, nothing can be removed from it either, so continuing is safe.
    """
    descriptor = -1
    with suppress(OSError):
        descriptor = os.open(cache / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def mapped(path: Path) -> np.ndarray:
    """The read-only memory map of a ``.npy`` file, which counts as in use while the array or a view of it lives.

    Raises:
        OSError, ValueError: the file is missing, cut short or no array.
    """
    with path.open("rb") as file:
        share(file)
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if 0 in shape:  # an empty file cannot be mapped
            array: np.ndarray = np.empty(shape, dtype)
            array.setflags(write=False)
            return array
        return np.memmap(file, dtype=dtype, mode="r", offset=file.tell(), shape=shape)


class Blank:
    """A ``.npy`` file of bytes whose rows are written in any order and by several threads."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._file = path.open("wb")
        share(self._file)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._file.flush()
        self._start = self._file.tell()
        try:
            self._file.truncate(self._start + math.prod(shape))  # so that it can be mapped from now on
        except OSError:
            self._file.close()
            raise

    def write(self, row: int, values: np.ndarray) -> None:
        """Raises OSError when the disk is full; writing through a map would kill the process instead."""
        assert (values.shape, values.dtype) == (self.shape[1:], np.uint8), f"got {values.shape} {values.dtype}"
        self.put(row * values.nbytes, values)

    def put(self, place: int, values: np.ndarray) -> None:
        """Write bytes from the byte ``place`` of the array on."""
        data, start = values.tobytes(), self._start + place
        done = 0
        while done < len(data):
            done += os.pwrite(self._file.fileno(), data[done:], start + done)

    def finish(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class Growing:
    """A ``.npy`` file of bytes, one after the other, whose number is told when all are written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        share(self._file)
        self._length = 0
        self._start = self._header()

    def append(self, data: bytes) -> tuple[int, int]:
        """Where it begins and ends among the bytes. Raises OSError when the disk is full."""
        start = self._length
        self._file.write(data)
        self._length += len(data)
        return start, self._length

    def finish(self) -> None:
        self._file.seek(0)
        start = self._header()
        assert start == self._start, "numpy leaves room for the number of rows to grow"
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _header(self) -> int:
        header = {"descr": "|u1", "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._file.flush()
        return self._file.tell()


def save(path: Path, array: np.ndarray) -> None:
    """``np.save`` that is on the disk when it returns."""
    with path.open("wb") as file:
        np.save(file, array)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def share(file: BinaryIO | TextIO) -> None:
    with suppress(OSError):  # a file system without locks: eviction cannot lock either, and leaves the folder alone
        fcntl.flock(file.fileno(), fcntl.LOCK_SH)


def discard(folder: Path) -> None:
    """Remove an entry in one step for readers. Call under ``guard``."""
    away = folder.with_name(f"{DISCARDED}{uuid.uuid4().hex}")
    folder.rename(away)
    shutil.rmtree(away, ignore_errors=True)


def evict(cache: Path, limit_bytes: int, keep: Path) -> list[Path]:
    """Remove the entries opened longest ago until the cache holds ``limit_bytes``; returns what was removed.

    Spared are ``keep`` and every entry that a living process has open, even when the limit is then exceeded.
    """
    removed = []
    with guard(cache):
        entries = [p for p in cache.iterdir() if ENTRY.fullmatch(p.name) and p.is_dir()]
        sizes = {p: bytes_below(p) for p in entries}
        total = sum(sizes.values())
        for folder in sorted(entries, key=lambda p: p.stat().st_mtime_ns):
            if total <= limit_bytes:
                break
            if folder != keep and _idle(folder):
                discard(folder)
                total -= sizes[folder]
                removed.append(folder)
    return removed


def used_bytes(cache: Path) -> int:
    """Size of the entries that a living process has open or fills. Call under ``guard``."""
    entries = [p for p in cache.iterdir() if ENTRY.fullmatch(p.name) and p.is_dir()]
    filled = [path.parent for room in cache.glob(f"{BUILDING}*") for path in within(room, f"*/{WITNESS}")]
    return sum(bytes_below(p) for p in (*entries, *filled) if not _idle(p))


def within(folder: Path, pattern: str) -> list[Path]:
    """The files below ``folder``, as ``Path.glob``; none where its builder gives it up meanwhile."""
    try:
        return list(folder.glob(pattern))
    except FileNotFoundError:  # Path.glob ends by it when a folder goes between two of its steps
        return []


def _idle(folder: Path) -> bool:
    try:
        with (folder / WITNESS).open("r+b") as file:  # to be written: else network folders refuse the lock
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
