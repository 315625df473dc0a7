"""Writes objects whole: a reader of the store sees the one before, or the new one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_planes.stores.access import CHUNK, Item, asking
from raytune_planes.stores.address import Address

if TYPE_CHECKING:
    from pyarrow import fs


def write(store: fs.FileSystem, address: Address, name: str, content: bytes | Path) -> Item:
    """Put an object below the address; returns how the store lists it.

    Raises:
        UserError: the store refuses it, or does not answer.
        OSError: the file cannot be read.
    """
    if isinstance(content, bytes):
        return _put(store, address, name, [content])
    with content.open("rb") as file:  # before the object: a file that is gone must leave none
        return _put(store, address, name, iter(lambda: file.read(CHUNK), b""))


def _put(store: fs.FileSystem, address: Address, name: str, blocks: Iterable[bytes]) -> Item:
    path, size = f"{address.path}/{name}", 0
    with asking(address):
        stream = store.open_output_stream(path)
    try:
        for block in blocks:
            with asking(address):
                stream.write(block)
            size += len(block)
    except BaseException:
        with suppress(OSError):  # pyarrow cannot give an object up: closed, it is there with what it has got
            stream.close()
            store.delete_file(path)
        raise
    with asking(address):
        stream.close()
        (found,) = store.get_file_info([path])
    return Item(name, size, found.mtime_ns or 0)


def remove(store: fs.FileSystem, address: Address, name: str) -> None:
    """Remove an object, unless it is gone already. Raises UserError: the store refuses it, or does not answer."""
    try:
        with asking(address):
            store.delete_file(f"{address.path}/{name}")
    except FileNotFoundError:
        pass


def content(store: fs.FileSystem, address: Address, name: str) -> bytes | None:
    """Of a small object; None where there is none. Raises UserError: the store refuses it, or does not answer.

    pyarrow asks for the size first. Of an object that was removed since, it calls the answer a failure of the store; of
    one that was replaced by a shorter one, it gives bytes of uninitialised memory after the new ones. So what was read
    counts only where the object has that size afterwards too.
    """
    path, attempts_left = f"{address.path}/{name}", 5
    with asking(address):
        while True:
            read, failed = b"", None
            try:
                with store.open_input_stream(path) as stream:
                    read = bytes(stream.read())
            except FileNotFoundError:
                return None
            except OSError as error:
                failed = error
            (found,) = store.get_file_info([path])
            if not found.is_file:
                return None
            if failed is None and found.size == len(read):
                return read
            attempts_left -= 1
            if not attempts_left:
                raise failed or OSError(f"{name} was replaced whenever it was read")
