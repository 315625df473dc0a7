"""Results in an object store, for every command: fetched before it runs, sent while it runs and at its end."""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Container
from contextlib import suppress
from functools import partial
from pathlib import Path

from raytune_planes.commands.stored_config import study_above
from raytune_planes.commands.stored_drivers import (
    DRIVEN,
    driven_here,
    finish,
    is_free,
    last,
    no_empty_folder,
    take,
    unclaimed_if_refused,
    undriven,
    yield_to_others,
)
from raytune_planes.commands.stored_listing import Listed
from raytune_planes.errors import UserError
from raytune_planes.invocation import address_of
from raytune_planes.paths import own_folder
from raytune_planes.printing import told
from raytune_planes.stores.access import listing, local_name
from raytune_planes.stores.address import Address, Place
from raytune_planes.stores.lease import StoreLease
from raytune_planes.stores.mirror import Mirror
from raytune_planes.stores.sending import Sender
from raytune_planes.tracking import files

ORDER = {
    **dict.fromkeys((files.CONFIG, files.SPACE, files.ARGUMENTS), -2),
    **{files.TRIAL: -1, files.EPOCHS: 1, files.FREED: 2, files.END: 3, "result.json": 4},
    **{files.REFERENCES: 5, "final.json": 5, "data-curve.json": 5, files.BEST: 6, files.STUDY: 7},
}
"""Which files are sent first. Below 0: those that name no other; 0: all others; then records, after what they name."""
OF_THIS_HOST = ("ray/", "optuna.db", "driver.json")
"""In a study's folder: made again from its records where they are missing."""
OF_MLFLOW = ("mlflow.db", "mlartifacts")
"""Beside the studies: ``sync`` makes them again."""
WITH_WEIGHTS = ("predict", "serve", "export", "ensemble", "report", "prune", "tune")
NAMES = (files.STUDY, files.EPOCHS, files.FOLDS)
"""One of them is in the folder of a study, or of a training."""
DRIVES = ("tune", "prune", "sync")
"""Commands that change a study, one at a time, and end when all of it is in the store."""
WRITES = {"report": files.PLOTS, "compare": files.PLOTS, "note": "", "ensemble": ""}
"""Commands that write beside a driver: into this folder, or where it is empty into the study's; with ``--data-curve``
into both."""


def run(args: argparse.Namespace) -> int:
    """Run a command; returns its exit status. Results at an address are in a folder of this host meanwhile.

    Raises:
        UserError: the command does, the store cannot be read, or another driver has the study.
    """
    if isinstance(getattr(args, "config", None), Address):
        args.config = _config(args.config)
    key = next((key for key in ("out", "studies") if isinstance(getattr(args, key, None), Address)), "")
    if not key or getattr(args, "print_config", False):
        return int(args.run(args) or 0)
    if args.verb == "train":
        results, name = args.out.parted()
        mirror = _mirror(results)
        args.out = mirror.folder / name
        return _driven(args, mirror, name, "training")
    mirror = _mirror(getattr(args, key))
    setattr(args, key, mirror.folder)
    if args.verb in DRIVES and not getattr(args, "dry_run", False):
        return _drive(args, mirror)
    names = _fetch(args, mirror)
    status = int(args.run(args) or 0)
    if args.verb in WRITES:
        also = names if getattr(args, "data_curve", not WRITES[args.verb]) else []
        mirror.send(lambda name: _is_kept(name) and _is_of(name, [WRITES[args.verb], *also]))
    return status


def opened(place: Place, study: str = "") -> Path:
    """The results folder of a Python function; what is at an address is fetched, with the weights of ``study``."""
    if isinstance(place, Path):
        return place
    mirror = _mirror(place)
    _fetch(argparse.Namespace(verb="predict", model=study), mirror)
    return mirror.folder


def _config(address: Address) -> Path:
    """Where the settings at an address are on this host, beside their study: its goal counts for them."""
    results, name, below = study_above(address)
    mirror = _mirror(results)
    _fetch(argparse.Namespace(verb="best", study=name), mirror)
    return mirror.folder / name / below


def folder_of(place: Place) -> Path:
    """Where the results of an address are on this host; a path as it is."""
    return place if isinstance(place, Path) else _root() / local_name(place)


def seen(out: Path) -> list[str]:
    """The addresses whose results this user of this machine has asked for; none where ``out`` is of one of them."""
    return [] if address_of(out) else sorted(filter(None, map(address_of, _root().glob("*"))))


def training_folder_of(place: Place) -> Path:
    """Where the folder of a training is on this host; a path as it is. Raises UserError: the address names none."""
    if isinstance(place, Path):
        return place
    results, name = place.parted()
    return folder_of(results) / name


def _root() -> Path:
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state")
    return own_folder(state / "raytune-planes" / "results", "results on their way to a store", "XDG_STATE_HOME")


def _mirror(address: Address) -> Mirror:
    return Mirror(address, folder_of(address), lambda name: ORDER.get(name.rpartition("/")[2], 0), told)


def _fetch(args: argparse.Namespace, mirror: Mirror) -> list[str]:
    """Fetch the records of all studies, and the weights of those that the command reads; returns these."""
    driven = [path.name.removeprefix(DRIVEN) for path in mirror.folder.glob(f"{DRIVEN}*") if not is_free(path)]
    own = last(mirror.folder)
    # Else data beside the studies, where a whole bucket is named, would be copied to this host.
    items = listing(mirror.store, mirror.address)
    parts = [item.name.partition("/") for item in items]
    studies = {folder for folder, _, rest in parts if rest in NAMES}
    folders = studies.union(own, files.RESERVED, (path.name for path in mirror.folder.iterdir()))

    def here(name: str) -> bool:
        return _is_kept(name, driven) and _is_of(name, folders)  # what is driven on this host is ahead of the store

    for name in own.keys() - driven:
        with undriven(mirror.folder / f"{DRIVEN}{name}") as nobody_has_it:
            if nobody_has_it:
                # Before files are compared: what was not sent is put aside whole.
                yield_to_others(mirror, name, _is_kept)
    ours = partial(_is_of, studies=own)
    mirror.fetch(lambda name: here(name) and not name.endswith(".pt"), ours)
    names = _named(args, mirror.folder)
    if getattr(args, "dry_run", False):
        args.listed = Listed(mirror, items)
    elif args.verb in WITH_WEIGHTS:
        shared = [files.SHARED] if args.verb == "tune" else []
        mirror.fetch(lambda name: here(name) and _is_of(name, (*names, *shared)), ours)
    return names


def _named(args: argparse.Namespace, out: Path) -> list[str]:
    """The studies that a command names, the latest where it may name one and does not."""
    if args.verb == "tune":
        return [args.resume or _new_name(args)]
    if args.verb == "compare":
        return [text.partition(":")[0] for text in (args.one, args.other)]
    if (model := getattr(args, "model", None)) is not None:
        return [model.partition("/")[0]]
    if not hasattr(args, "study"):
        return []
    with suppress(UserError):  # the command says it
        return [files.find_study(out, args.study).name]
    return []


def _new_name(args: argparse.Namespace) -> str:
    if not args.name:
        from raytune_planes.space import load_space

        args.name = f"{load_space(args.space or 'quick').name}-{time.strftime('%Y%m%d-%H%M%S')}"
    return str(args.name)


def _drive(args: argparse.Namespace, mirror: Mirror) -> int:
    names = _fetch(args, mirror)
    if not names:
        return int(args.run(args) or 0)  # says that there is no study
    (name,) = names
    return _driven(args, mirror, name, "study")


def _driven(args: argparse.Namespace, mirror: Mirror, name: str, kind: str) -> int:
    """Run a command that changes the study or training ``name``, the one driver of it, and send what it makes."""
    files.study_folder(mirror.folder, name, kind)  # refuses what cannot be a name
    is_study = kind == "study"

    def interrupt() -> None:
        taken = f"The claim on {kind} {name} in {mirror.address} was removed: by another driver, or by hand"
        told(f"{taken}. It ends here; its files are in {mirror.folder}")
        os.kill(os.getpid(), signal.SIGINT)

    read = (name, files.SHARED) if is_study else (name,)
    shared = (*read, files.LOGS, files.PLOTS) if is_study else read
    with (
        no_empty_folder(mirror, name),
        StoreLease(mirror.store, mirror.address, name, interrupt, kind) as lease,
        driven_here(mirror.folder, name),
        unclaimed_if_refused(mirror, name),
    ):
        yield_to_others(mirror, name, _is_kept)
        ours = partial(_is_of, studies=last(mirror.folder))
        weights = is_study or args.resume  # a training that is there and is not resumed is refused by its records

        def wanted(path: str) -> bool:
            return _is_kept(path) and _is_of(path, read) and (weights or not path.endswith(".pt"))

        mirror.fetch(wanted, ours)
        take(mirror, name)

        def send() -> int:
            return mirror.send(lambda p: _is_kept(p) and _is_of(p, shared), lease.holds)

        with Sender(send, told, str(mirror.folder)) as sender:
            try:
                status = int(args.run(args) or 0)
            except BaseException:
                sender.once()
                raise
            return finish(sender, mirror, lease, name, kind) or status


def _is_kept(name: str, but: list[str] | tuple[str, ...] = ()) -> bool:
    """Whether a file is kept in the store: no temporary one, and none that other files can make again."""
    parts = name.split("/")
    if any(part.startswith(".") for part in parts) or parts[0] in but or parts[0].startswith(OF_MLFLOW):
        return False
    return parts[0] in files.RESERVED or not name.partition("/")[2].startswith(OF_THIS_HOST)


def _is_of(name: str, studies: Container[str]) -> bool:
    """Whether a file is in one of these folders of the results."""
    return name.partition("/")[0] in studies
