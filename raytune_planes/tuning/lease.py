"""One driver at a time for a study's folder: a file that its holder renews and that others take once it is stale."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from raytune_planes.datasets import storage
from raytune_planes.errors import UserError
from raytune_planes.stores.lease import born
from raytune_planes.tracking.files import write_whole

FILE = "driver.json"
RENEW_S = 10.0
STALE_S = 60.0
"""A holder on another machine that has not renewed for this long is taken for dead."""


class Lease:
    """Held from ``with`` to its end.

    Raises:
        UserError: another living driver holds the folder.
    """

    def __init__(self, folder: Path, on_loss: Callable[[], None] = lambda: None) -> None:
        """``on_loss`` is called once, from a thread, when another driver has taken the folder."""
        self._on_loss = on_loss
        self._path = folder / FILE
        self._me = {"host": socket.gethostname(), "pid": os.getpid(), "born": born(os.getpid())}
        self._over = threading.Event()

    def __enter__(self) -> Lease:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with storage.guard(self._path.parent):  # else two that find a dead holder could both take its place
            if holder := self._living_holder():
                raise UserError(
                    f"the study in {self._path.parent} is being run by process {holder['pid']} on "
                    f"{holder['host']}; wait for it, end it, or choose another --name"
                )
            write_whole(self._path, json.dumps(self._me))
        threading.Thread(target=self._renew, name="lease", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        if not self.lost:
            self._path.unlink(missing_ok=True)

    @property
    def lost(self) -> bool:
        """Whether another driver holds the folder by now: this one, or its machine, was asleep for too long."""
        try:
            return bool(json.loads(self._path.read_bytes()) != self._me)
        except (OSError, ValueError):
            return False  # a file system that is away for a moment

    def _renew(self) -> None:
        while not self._over.wait(RENEW_S):
            with suppress(OSError):
                if self.lost:
                    self._on_loss()
                    return
                os.utime(self._path)

    def _living_holder(self) -> dict[str, object] | None:
        try:
            renewed_s = self._path.stat().st_mtime
            holder: dict[str, object] = json.loads(self._path.read_bytes())
            same_host, pid = holder["host"] == self._me["host"], int(str(holder["pid"]))
        except (OSError, ValueError, KeyError, TypeError):
            # Vanished, or its writer died between making and filling it.
            return None
        if same_host:
            return holder if holder.get("born") == born(pid) != "" else None
        age_s = time.time() - renewed_s
        if age_s < -RENEW_S:  # a clock was set back: only a renewal says that the holder lives
            time.sleep(2 * RENEW_S)
            return holder if self._path.is_file() and self._path.stat().st_mtime != renewed_s else None
        return holder if age_s < STALE_S else None
