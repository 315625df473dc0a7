"""Who drives which study of an object store on this host: locks between its processes, and who was the last."""

from __future__ import annotations

import fcntl
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from raytune_planes.errors import UserError
from raytune_planes.invocation import command
from raytune_planes.printing import told
from raytune_planes.stores.access import listing
from raytune_planes.stores.lease import FOLDER, StoreLease
from raytune_planes.stores.mirror import Mirror
from raytune_planes.stores.sending import Sender
from raytune_planes.stores.writing import content, remove, write
from raytune_planes.tracking import files

DRIVEN, LAST, LOCK = ".driving-", ".last.json", ".last.lock"
"""Begins the name of a study's lock on this host; who drove each study last, as far as this host knows; its lock."""
INTERRUPTED = 130
"""Exit status after Ctrl-C."""


def remember(folder: Path, name: str, run: str) -> None:
    """Note that ``run`` has the study now."""
    _note(folder, name, {name: run})


def forget(folder: Path, name: str) -> None:
    """As if no run of this host had had the study."""
    _note(folder, name, {})


def _note(folder: Path, name: str, noted: dict[str, str]) -> None:
    """``noted`` in the place of what is known of the study; one process after the other, so that none forgets what
    another noted."""
    with (folder / LOCK).open("ab") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        others = {key: run for key, run in last(folder).items() if key != name}
        files.write_whole(folder / LAST, json.dumps({**others, **noted}))


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


def take(mirror: Mirror, name: str) -> None:
    """From now on this host is the one that drove the study last."""
    run = uuid.uuid4().hex
    write(mirror.store, mirror.address, f"{FOLDER}/{name}.json", json.dumps({"run": run}).encode())
    remember(mirror.folder, name, run)


def yield_to_others(mirror: Mirror, name: str, is_kept: Callable[[str], bool]) -> None:
    """Where another machine has driven the study since this one did, its files here give way to those of the store.

    Where the store knows nothing of it any more, they stay, and are sent again.
    """
    there, here = content(mirror.store, mirror.address, f"{FOLDER}/{name}.json"), last(mirror.folder).get(name)
    if there is None and here is not None:  # emptied, or another bucket by now: what was sent is only here
        mirror.forget(name)
    if there is None or here is None or json.loads(there)["run"] == here:
        return
    if aside := mirror.yield_folder(name, is_kept):
        told(f"Study {name} went on elsewhere: what was not sent from this machine is kept in {aside}")
    remember(mirror.folder, name, json.loads(there)["run"])


@contextmanager
def unclaimed_if_refused(mirror: Mirror, name: str) -> Iterator[None]:
    """Of a new study or training that is refused in the block, and has no file, the store does not say who drove it.

    Call it while the study is held.
    """
    was_there = content(mirror.store, mirror.address, f"{FOLDER}/{name}.json") is not None
    try:
        yield
    except UserError:
        if not was_there and not any(path.is_file() for path in (mirror.folder / name).rglob("*")):
            with suppress(UserError):  # a store that is away
                remove(mirror.store, mirror.address, f"{FOLDER}/{name}.json")
            forget(mirror.folder, name)
        raise


@contextmanager
def no_empty_folder(mirror: Mirror, name: str) -> Iterator[None]:
    """After a refusal in the block, the mark of a folder that pyarrow leaves where the last claim was is removed."""
    try:
        yield
    except UserError:
        place = mirror.address.below(f"{FOLDER}/{name}")
        with suppress(UserError, OSError):
            if content(mirror.store, mirror.address, f"{FOLDER}/{name}.json") is None and not listing(
                mirror.store, place
            ):
                mirror.store.delete_dir(place.path)
        raise


def finish(sender: Sender, mirror: Mirror, lease: StoreLease, name: str, kind: str) -> int:
    """Send what is left; returns the exit status, 0 where all of the study is in the store."""
    if lease.lost:
        return INTERRUPTED
    told(f"Sending what is left to {mirror.address}")
    try:
        sender.finish()
    except KeyboardInterrupt:
        sync = command(f"sync {name} --out {mirror.address}")
        again = sync if kind == "study" else "the same command with --resume"
        told(f"Not all of {kind} {name} is in {mirror.address}; it is in {mirror.folder}, and sent by: {again}")
        return INTERRUPTED
    if lease.lost:  # nothing more was sent
        return INTERRUPTED
    told(f"All of {kind} {name} is in {mirror.address}")
    return 0
