"""A folder of results on this host and the address that has the same: fetched before it is read, sent as it changes."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from raytune_planes.invocation import SOURCE
from raytune_planes.stores.access import Item, listing, opened
from raytune_planes.stores.address import Address
from raytune_planes.stores.staging import fetch, locked
from raytune_planes.stores.writing import remove, write

STATE = ".store.json"
"""In the folder: what was the same on both sides when they were compared last."""
THREADS = 4
Found = tuple[int, int]
"""Size and time of a file, in ns."""
Wanted = Callable[[str], bool]
"""Whether a file takes part, by its path below the folder."""


class Known(NamedTuple):
    """A file that was the same on both sides: its size and time here, and its size and time there."""

    size: int
    mtime_ns: int
    stored_size: int
    stored_ns: int

    def is_here(self, found: Found | None) -> bool:
        return (self.size, self.mtime_ns) == found

    def is_there(self, item: Item) -> bool:
        return (self.stored_size, self.stored_ns) == (item.size, item.mtime_ns)


class Mirror:
    """Both sides, by what was the same before: what changed here is sent, what changed there is fetched."""

    def __init__(self, address: Address, folder: Path, order: Callable[[str], int], say: Callable[[str], None]) -> None:
        """
        Args:
            order: of a file, by its path: lower ones are sent first. A record has a number above those of the files
                that it names, which are at 0.
            say: is told that another process compares just now.
        """
        self.address, self.folder = address, folder
        self._order, self._say = order, say
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SOURCE).write_text(str(address), encoding="utf-8")
        self.store = opened(address)

    def fetch(self, wanted: Wanted, ours: Wanted = lambda _: False) -> int:
        """Bring here what changed there, and remove what was removed there and is unchanged here; returns how many.

        What was removed here by hand is fetched again if wanted, and never removed there.

        Args:
            ours: whether a file that differs on both sides stays as it is here. Of a study that only this host drives,
                the file here is the later one: a process that was killed has not noted what it had sent.

        Raises:
            UserError: the store cannot be read.
        """
        with self._alone():
            before = self._here(lambda _: True)
            known = {name: values for name, values in self._load().items() if name in before}
            changed = _changed(known, self._here(lambda name: wanted(name) and ours(name)))
            items = {item.name: item for item in listing(self.store, self.address) if wanted(item.name)}
            new = [
                item
                for name, item in items.items()
                if changed.get(name) in (None, (item.size, item.mtime_ns))
                and (name not in known or not known[name].is_there(item))
            ]
            fetched = fetch(self.store, self.address, new, self.folder) if new else []
            here = self._here(wanted)
            known |= {i.name: Known(i.size, i.mtime_ns, i.size, i.mtime_ns) for i in fetched if i.name in here}
            gone = [name for name in known if wanted(name) and name not in items]
            for name in gone:
                if known.pop(name).is_here(here.get(name)):
                    (self.folder / name).unlink()
            self._save(known)
            return len(new) + len(gone)

    def send(self, wanted: Wanted, may: Callable[[], bool] = lambda: True) -> int:
        """Send what changed here, records after the files that they name, and remove there what was removed here.

        Records are read before files are looked for: what a record names was on the disk before it, and so is there
        before it. What is left when the store stops to answer is sent by the next call.

        Args:
            may: whether this process may still write there; asked before each object.

        Returns:
            How many objects were written or removed.

        Raises:
            UserError: the store cannot be written.
            OSError: the disk cannot be read.
        """
        with self._alone():
            known, sent, is_whole = self._load(), 0, False
            try:
                while not is_whole:
                    before, records, here = self._steady(wanted, known)
                    files = {name: found for name, found in _changed(known, here).items() if not self._order(name)}
                    for _, group in groupby(sorted([*records, *files], key=self._order), key=self._order):
                        number, is_whole = self._send_all(list(group), records, files, known, may)
                        sent += number
                        if (
                            not is_whole
                        ):  # a file went, and the records that name it are older than the one that says so
                            break
                    else:
                        is_whole = True
                for name in (name for name in [*known] if wanted(name) and name not in here and name not in before):
                    if may():
                        remove(self.store, self.address, name)
                        del known[name]
                        sent += 1
            finally:
                self._save(known)
            return sent

    def forget(self, name: str) -> None:
        """As if nothing of the folder ``name`` had been in the store: what is here stays here, and is sent again."""
        with self._alone():
            self._save({path: values for path, values in self._load().items() if not path.startswith(f"{name}/")})

    def yield_folder(self, name: str, wanted: Wanted) -> Path | None:
        """Give way to what went on elsewhere: the folder ``name`` goes, with what is here alone, to be fetched anew.

        Returns:
            Where it is kept if something of it was not sent; None where it is removed, and nothing is lost.
        """
        with self._alone():
            known, start = self._load(), f"{name}/"
            unsent = _changed(known, self._here(lambda path: path.startswith(start) and wanted(path)))
            aside = self.folder / f".aside-{name}-{time.strftime('%Y%m%d-%H%M%S')}"
            if unsent:
                (self.folder / name).rename(aside)
            else:
                shutil.rmtree(self.folder / name, ignore_errors=True)
            self._save({path: values for path, values in known.items() if not path.startswith(start)})
            return aside if unsent else None

    def _send_all(
        self,
        names: Iterable[str],
        records: dict[str, tuple[Found, bytes | None]],
        files: dict[str, Found],
        known: dict[str, Known],
        may: Callable[[], bool],
    ) -> tuple[int, bool]:
        """How many were written, and whether all were that this process may write: False where one has gone."""

        def one(name: str) -> bool | None:
            found, content = records[name] if name in records else (files[name], self.folder / name)
            if not may():
                return None
            with suppress(FileNotFoundError):
                if content is not None:
                    item = write(self.store, self.address, name, content)
                    known[name] = Known(*found, item.size, item.mtime_ns)
                    return True
            return False

        with ThreadPoolExecutor(THREADS, "send") as pool:
            done = list(pool.map(one, names))
        return done.count(True), False not in done

    def _steady(
        self, wanted: Wanted, known: dict[str, Known]
    ) -> tuple[dict[str, Found], dict[str, tuple[Found, bytes | None]], dict[str, Found]]:
        """What is here, the changed records as they were then, and what is here after they were read.

        Looked at again where a file went meanwhile: the record that says so may be younger than those that were read,
        and one that names the file would be sent without either.
        """
        while True:
            lost: list[str] = []
            before = self._here(wanted, lost.append)
            changed = _changed(known, before)
            records = {name: (found, self._read(name)) for name, found in changed.items() if self._order(name)}
            here = self._here(wanted)
            if not lost and all(name in here or self._order(name) for name in before):
                return before, records, here

    def _read(self, name: str) -> bytes | None:
        with suppress(FileNotFoundError):
            return (self.folder / name).read_bytes()
        return None

    def _here(self, wanted: Wanted, lost: Callable[[str], None] = lambda _: None) -> dict[str, Found]:
        """Size and time of each file; ``lost`` is told of those that went while the folder was read."""
        found = {}
        for root, _, names in os.walk(self.folder):
            for path in (Path(root) / name for name in names):
                name = path.relative_to(self.folder).as_posix()
                if not wanted(name):
                    continue
                try:
                    status = path.stat()
                    found[name] = status.st_size, status.st_mtime_ns
                except FileNotFoundError:
                    lost(name)
        return found

    def _alone(self) -> AbstractContextManager[None]:
        return locked(self.folder, self._say, f"another process compares {self.folder} with {self.address}; waiting")

    def _load(self) -> dict[str, Known]:
        with suppress(FileNotFoundError, ValueError):  # lost: both sides are compared anew
            stored = json.loads((self.folder / STATE).read_bytes())
            # A study's folder that somebody removed here is fetched again, not removed there.
            there = {path.name for path in self.folder.iterdir()}
            return {name: Known(*values) for name, values in stored.items() if name.partition("/")[0] in there}
        return {}

    def _save(self, known: dict[str, Known]) -> None:
        path = self.folder / STATE
        path.with_suffix(".new").write_text(json.dumps(known))
        path.with_suffix(".new").replace(path)


def _changed(known: dict[str, Known], here: dict[str, Found]) -> dict[str, Found]:
    """Files that are not as they are known."""
    return {name: found for name, found in here.items() if name not in known or not known[name].is_here(found)}
