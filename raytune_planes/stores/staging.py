"""Copies what lies at an address into a folder of this host: once, whole, and again only what has changed."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_planes.errors import UserError
from raytune_planes.paths import bytes_below
from raytune_planes.printing import counted
from raytune_planes.stores.access import CHUNK, Item, asking, listing, local_name, opened
from raytune_planes.stores.address import Address

if TYPE_CHECKING:
    from pyarrow import fs

FOLDER = "stores"
"""In the cache: a folder for each address."""
LOCK, PARTS = ".lock", ".parts"
"""End the names of its neighbours: the lock of whoever copies, and files that are not whole yet."""
THREADS = 8
ROUNDS, READS = 3, 5
"""How often a prefix may change while it is copied, and an object while it is read."""
SPARED_S = 24 * 3600.0
"""A folder opened within this time is not removed to make room."""


def staged(address: Address, cache: Path, say: Callable[[str], None], limit_bytes: int) -> Path:
    """The folder that holds what is at the address now; files have the store's time of change.

    A file that is there with the object's size and time is not fetched again, one whose object is gone is removed. A
    file appears whole or not at all, so that a killed copy continues. Of processes of this host that ask at the same
    time one copies, and the others wait. (An object written again within one second with as many bytes looks
    unchanged: S3 lists no finer time.)

    Args:
        cache: the folder is made below it.
        say: is told how much is fetched, and when another process is waited for.
        limit_bytes: of all such folders; above it, those unused longest are removed, if for a day at least.

    Raises:
        UserError: the store cannot be read, holds nothing there, changes all the time, or the disk is too small.
    """
    folder = folder_of(address, cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder, say, f"{address} is being copied to this host by another process; waiting for it"):
        store = opened(address)
        shutil.rmtree(_beside(folder, PARTS), ignore_errors=True)  # of a process that was killed
        items = listing(store, address)
        if not items:
            raise UserError(f"{address} holds no files; correct the prefix, or copy the data there")
        for _ in range(ROUNDS):
            remove_others(folder, items)
            missing = [item for item in items if not is_same(folder / item.name, item)]
            if not missing:
                os.utime(folder)
                break
            _make_room(folder, missing, limit_bytes, address)
            size = sum(item.size for item in missing) / 2**20
            say(f"Fetching {counted(len(missing), 'file')}, {size:,.1f} MiB, of {address} into {folder}")
            fetch(store, address, missing, folder)
            items = listing(store, address)
        else:
            raise UserError(f"{address} changes while it is copied; start again when it is complete")
    return folder


def folder_of(address: Address, cache: Path) -> Path:
    """Where ``staged`` keeps what is at the address."""
    return cache / FOLDER / local_name(address)


def is_same(path: Path, item: Item) -> bool:
    """Whether the file is what the store lists."""
    with suppress(FileNotFoundError, NotADirectoryError):
        status = path.stat()
        return (status.st_size, status.st_mtime_ns) == (item.size, item.mtime_ns)
    return False


def fetch(store: fs.FileSystem, address: Address, items: Sequence[Item], folder: Path) -> list[Item]:
    """Copy these objects into the folder, several at a time; returns what each was when it was read.

    One that is gone, or was replaced whenever it was read, is left out: the next listing decides.

    Raises:
        UserError: the store cannot be read.
        OSError: the disk.
    """
    parts = _beside(folder, PARTS)
    parts.mkdir(parents=True, exist_ok=True)

    def one(numbered: tuple[int, Item]) -> Item | None:
        return _fetch(store, address, numbered[1].name, folder, parts / str(numbered[0]))

    with ThreadPoolExecutor(THREADS, "fetch") as pool:
        fetched = list(pool.map(one, enumerate(items)))  # an error of any of them ends it
    shutil.rmtree(parts, ignore_errors=True)
    return [item for item in fetched if item]


def _fetch(store: fs.FileSystem, address: Address, name: str, folder: Path, part: Path) -> Item | None:
    """What was read counts only where the object has that size afterwards too (``writing.content`` says why)."""
    target, path, failed = folder / name, f"{address.path}/{name}", None
    for _ in range(READS):
        failed = _copy(store, path, part)
        with asking(address):
            (found,) = store.get_file_info([path])
        if not found.is_file:
            return None
        if failed is None and part.stat().st_size == found.size:
            break
    else:
        with asking(address):
            if failed and not isinstance(failed, FileNotFoundError):
                raise failed
        return None
    item = Item(name, found.size, found.mtime_ns or 0)
    os.utime(part, ns=(time.time_ns(), item.mtime_ns))
    _make_way(target)
    part.replace(target)
    return item


def _copy(store: fs.FileSystem, path: str, part: Path) -> OSError | None:
    """What the object at the path holds becomes ``part``; returns the store's failure, if it did not answer so.

    Raises:
        OSError: of the disk.
    """
    with part.open("wb") as file:
        try:
            stream = store.open_input_stream(path)
        except OSError as error:
            return error
        with stream:
            while True:
                try:
                    block = stream.read(CHUNK)
                except OSError as error:
                    return error
                if not block:
                    break
                file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return None


def _make_way(target: Path) -> None:
    """Folders for the file, also where a file had the name of one, or a folder that of the file."""
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)


def remove_others(folder: Path, items: Sequence[Item]) -> None:
    """Remove files that the store does not list, and folders that are empty then."""
    known = {item.name for item in items}
    for root, folders, names in os.walk(folder, topdown=False):
        here = Path(root)
        for name in names:
            if (here / name).relative_to(folder).as_posix() not in known:
                (here / name).unlink()
        for name in folders:
            with suppress(OSError):
                (here / name).rmdir()


@contextmanager
def locked(folder: Path, say: Callable[[str], None], waiting: str) -> Iterator[None]:
    """One process of this host at a time; ``waiting`` is said where another has it."""
    descriptor = os.open(_beside(folder, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_room(folder: Path, missing: Sequence[Item], limit_bytes: int, address: Address) -> None:
    """Remove what was unused longest, then refuse what the disk cannot hold. Raises UserError."""
    folder.mkdir(exist_ok=True)
    needed = sum(item.size for item in missing)
    others = [p for p in folder.parent.iterdir() if p.is_dir() and p != folder and not p.name.endswith(PARTS)]
    old = sorted((p for p in others if time.time() - p.stat().st_mtime > SPARED_S), key=lambda p: p.stat().st_mtime)
    held = {p: bytes_below(p) for p in (folder, *others)}
    total = needed + sum(held.values())
    for path in old:
        if total > limit_bytes:
            shutil.rmtree(path)
            total -= held[path]
    if needed > (free := shutil.disk_usage(folder).free):
        raise UserError(
            f"{address}: {needed / 2**20:,.0f} MiB are to be fetched into {folder}, where {free / 2**20:,.0f} MiB are "
            "free; free some space, or name another cache folder"
        )


def _beside(folder: Path, end: str) -> Path:
    return folder.with_name(folder.name + end)
