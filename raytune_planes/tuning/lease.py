"""One driver at a time for a study's folder: a file that its holder renews and that others take once it is stale."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType

from raytune_planes.errors import UserError

FILE = "driver.json"
RENEW_S = 10.0
STALE_S = 60.0
"""A holder on another machine that has not renewed for this long is taken for dead."""


class Lease:
    """Held from ``with`` to its end.

    Raises:
        UserError: another living driver holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._me = {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}
        self._over = threading.Event()

    def __enter__(self) -> Lease:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            try:
                with self._path.open("x", encoding="utf-8") as file:
                    json.dump(self._me, file)
                break
            except FileExistsError:
                if holder := self._living_holder():
                    raise UserError(
                        f"the study in {self._path.parent} is being run by process {holder['pid']} on "
                        f"{holder['host']}; wait for it, end it, or choose another --name"
                    ) from None
                self._path.unlink(missing_ok=True)
        threading.Thread(target=self._renew, name="lease", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._path.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._over.wait(RENEW_S):
            if self._path.is_file():
                os.utime(self._path)

    def _living_holder(self) -> dict[str, object] | None:
        try:
            age_s = time.time() - self._path.stat().st_mtime
            holder: dict[str, object] = json.loads(self._path.read_bytes())
            same_host, pid = holder["host"] == self._me["host"], int(str(holder["pid"]))
        except (OSError, ValueError, KeyError):
            # Vanished, or its writer died between making and filling it.
            return None
        if same_host:
            return holder if holder.get("born") == _born(pid) != "" else None
        return holder if age_s < STALE_S else None


def _born(pid: int) -> str:
    """When a process of this machine started, so that another one with the same number is not taken for it."""
    import psutil

    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""
