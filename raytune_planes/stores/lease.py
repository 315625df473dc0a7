"""One driver at a time for a study in an object store: claims that their owners renew, and that others see.

A store lists what was written before, so of two that each write a claim and then look, at least one sees the other.
Nobody holds it who sees another living claim, so two never both do; no conditional write is needed, which pyarrow does
not offer. Of drivers that ask at once, the one whose claim has the first name waits for the others to withdraw theirs,
so that one of them always gets it. Ages are differences of the store's own times: no two clocks are compared.
"""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from raytune_planes.errors import UserError
from raytune_planes.stores.access import Item, listing
from raytune_planes.stores.address import Address
from raytune_planes.stores.writing import content, remove, write

if TYPE_CHECKING:
    from pyarrow import fs

FOLDER = ".drivers"
"""Below the results: a folder of claims for each study."""
RENEW_S = 20.0
STALE_S = 300.0
"""An owner on another machine that has not renewed its claim for so long is taken for dead."""
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""One that goes on while the machine sleeps."""
WAIT_S = 60.0
"""Drivers that ask at once give up after that long, where none of them holds it by then."""
PAUSE_S = (0.1, 0.5)
"""Between two looks, by chance."""


class StoreLease:
    """Held from ``with`` to its end.

    Raises:
        UserError: another living driver holds it, or the store does not answer.
    """

    def __init__(
        self, store: fs.FileSystem, results: Address, name: str, on_loss: Callable[[], None], kind: str = "study"
    ) -> None:
        """``on_loss`` is called once, from a thread, when another driver has removed this claim; ``kind``: a study or a
        training is held."""
        self._store, self._name, self._on_loss, self._kind = store, name, on_loss, kind
        self._place = results.below(f"{FOLDER}/{name}")
        self._mine = f"{uuid.uuid4().hex}.json"
        self._over, self._ending, self._asking = threading.Event(), threading.Lock(), threading.Lock()
        self._renewed_s = 0.0
        self.lost = False

    def __enter__(self) -> StoreLease:
        try:
            self._take()
        except BaseException:
            with suppress(UserError):
                remove(self._store, self._place, self._mine)
            raise
        threading.Thread(target=self._renew, name="store lease", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._ending:
            self._over.set()
        if not self.lost:
            with suppress(UserError):  # a store that is away: the claim becomes stale
                remove(self._store, self._place, self._mine)

    def holds(self) -> bool:
        """Whether this driver may still write. The store is asked where the last renewal is long ago: a machine that
        wakes would else write over what another driver made meanwhile, until the next renewal.

        Raises:
            UserError: the store does not answer.
        """
        with self._asking:
            if not self.lost and time.clock_gettime(CLOCK) - self._renewed_s > STALE_S / 2:
                self._prolong()
            return not self.lost

    def _take(self) -> None:
        end_s, own, stands = time.monotonic() + WAIT_S, self._claim(held=False), True
        while True:
            others = [(item, self._read(item)) for item in listing(self._store, self._place) if item.name != self._mine]
            living = {item.name: claim for item, claim in others if claim and _lives(claim, item, own)}
            if stands and not living:
                for item, claim in others:
                    if claim:  # a withdrawn one may just have been written again
                        remove(self._store, self._place, item.name)
                self._renewed_s = time.clock_gettime(CLOCK)  # before: a slow store must not make the claim look newer
                self._claim(held=True)
                return
            holder = next((claim for claim in living.values() if claim["held"]), None)
            if holder or (living and time.monotonic() > end_s):
                raise self._taken(holder or next(iter(living.values())))
            first = all(self._mine < name for name in living)
            if first and not stands:
                own, stands = self._claim(held=False), True
                continue  # it counts only once the claims are listed after it
            if stands and not first:
                remove(self._store, self._place, self._mine)
                stands = False
            time.sleep(random.uniform(*PAUSE_S))

    def _taken(self, holder: Mapping[str, Any]) -> UserError:
        other = "--name" if self._kind == "study" else "--out"
        return UserError(
            f"{self._kind} '{self._name}' is being run by process {holder['pid']} on {holder['host']}, which has its "
            f"claim in {self._place}; wait for it, end it, or choose another {other} (one that died is passed over "
            f"after {STALE_S / 60:.0f} minutes)"
        )

    def _claim(self, *, held: bool) -> Item:
        me = {"host": socket.gethostname(), "machine": uuid.getnode(), "pid": os.getpid(), "born": born(os.getpid())}
        return write(self._store, self._place, self._mine, json.dumps({**me, "held": held}).encode())

    def _read(self, item: Item) -> dict[str, Any] | None:
        try:
            claim = json.loads(content(self._store, self._place, item.name) or b"")
        except ValueError:
            return None  # withdrawn since it was listed
        return claim if isinstance(claim, dict) and {"host", "machine", "pid", "born", "held"} <= claim.keys() else None

    def _renew(self) -> None:
        while not self._over.wait(RENEW_S):
            with suppress(UserError), self._asking:  # away for a while: told by whoever sends the results
                if self.lost:
                    return
                self._prolong()

    def _prolong(self) -> None:
        """Renew the claim, or find that another driver has removed it."""
        began_s = time.clock_gettime(CLOCK)
        if content(self._store, self._place, self._mine) is None:
            listing(self._store, self._place)  # raises where the whole bucket is gone: no driver has removed that
            with self._ending:
                if not self._over.is_set():  # else it is this driver itself that has removed it
                    self.lost = True
                    self._on_loss()
            return
        self._claim(held=True)
        self._renewed_s = began_s


def _lives(claim: dict[str, Any], item: Item, own: Item) -> bool:
    if (claim["host"], claim["machine"]) == (socket.gethostname(), uuid.getnode()):
        return bool(claim["born"] == born(int(claim["pid"])) != "")
    return own.mtime_ns - item.mtime_ns < STALE_S * 1e9


def born(pid: int) -> str:
    """When a process of this machine started, so that another one with the same number is not taken for it; empty where
    there is none."""
    import psutil

    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""
