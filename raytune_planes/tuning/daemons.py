"""Ray's own processes: when one of them dies, the study and its processes end soon, with a message."""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

from raytune_planes.invocation import command, in_folder
from raytune_planes.terminal import View
from raytune_planes.tuning import joining
from raytune_planes.tuning.cluster import Cluster

NAMES = ("gcs_server", "raylet")
"""Without one of them no trial can start or report; Ray's library ends this process some time later, without a word."""
POLL_S = 0.1
"""Ray's agents look every 0.4 s for the raylet, and write of its death for pages."""
ASK_S = 2.0
"""Pause between two questions to the head of a cluster that a study has joined."""
SILENCES = 2
"""Unanswered questions in a row after which a joined head counts as lost: Ray's library waits 60 s for it, in raw
lines, and then ends this process."""
PATIENCE_S = 5.0
"""For records to be closed in good order: a call to Ray that is under way may wait for a minute."""
FAILED = 1
"""Exit status."""


class Guard:
    """Watches the Ray of ``cluster`` from ``with`` to its end: its daemons where it was started here, else its head.

    When one dies, the other processes that were started here end at once, with all that they started, and ``on_loss``
    is called with the reason, from a thread. The ``with`` block should then end by itself. When it has, or after
    ``PATIENCE_S``, ``tell`` is called with the reason, and this process ends: Ray's library waits for a minute for a
    dead Ray, also while Python ends.
    """

    def __init__(self, cluster: Cluster, on_loss: Callable[[str], None], tell: Callable[[str], None]) -> None:
        self._started, self._on_loss, self._tell = cluster.processes, on_loss, tell
        self._head = cluster.joined
        self._known = set(self._started)
        self._over, self._lost = threading.Event(), threading.Event()
        watch = self._watch_head if self._head else self._watch_daemons
        self._thread = threading.Thread(target=watch, name="ray's daemons", daemon=True)

    def __enter__(self) -> Guard:
        self._take_stock()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        if self._lost.is_set():
            self._thread.join()  # it ends this process

    def _watch_daemons(self) -> None:
        names = {p: name for p in self._started if (name := _name(p)) in NAMES}
        looks = 0
        while not self._over.wait(POLL_S):
            looks += 1
            if looks % 20 == 0:
                self._take_stock()
            if dead := next((p for p in names if not _lives(p)), None):
                self._lost.set()
                self._end(f"Ray's process {names[dead]} ({dead.pid}) on this machine died")

    def _watch_head(self) -> None:
        silences = 0
        while not self._over.wait(ASK_S):
            silences = 0 if joining.is_reachable(self._head) else silences + 1
            if silences == SILENCES and not self._over.is_set():
                self._lost.set()
                self._end(f"The Ray cluster at {self._head} has not answered for {SILENCES * joining.PATIENCE_S:g} s")

    def _end(self, reason: str) -> None:
        self._kill()  # before they write of it
        self._on_loss(reason)
        self._over.wait(PATIENCE_S)
        self._take_stock()
        self._kill()
        self._tell(reason)
        os._exit(FAILED)

    def _take_stock(self) -> None:
        """Record the daemons' children while they live: after their death the children have no parent."""
        for process in self._started:
            with suppress(psutil.Error):
                self._known.update(process.children(recursive=True))

    def _kill(self) -> None:
        for process in self._known:
            with suppress(psutil.Error):
                process.kill()


def resumable(view: View, study: str, out: Path) -> Callable[[str], None]:
    """Reports why Ray died, and how to continue the study called ``study`` in the results folder ``out``."""

    def tell(why: str) -> None:
        view.stop()
        line = command(f"tune --resume {shlex.quote(study)}{in_folder(out)}")
        view.lost(f"{why}. All records are whole; continue with: {line}", FAILED)

    return tell


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return str(process.name())
    return ""
