"""A start of Ray that nobody waits for any more, as after Ctrl-C, ends soon."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import psutil

from raytune_planes.errors import UserError

NAMES = ("gcs_server", "raylet")
"""Ray's own processes, which start all others."""
GIVEN_UP = threading.Event()
"""Nobody waits any more for the start that is under way: it is not tried again."""
LOOK_S = 0.1


class TooBusy(UserError):
    """Ray did not start in time."""


def hurry(start: Future[Any]) -> None:
    """Let a start end soon: Ray itself would wait for its processes for 30 s, and then be started again."""
    GIVEN_UP.set()
    while not start.done():
        for process in psutil.Process().children():
            with suppress(psutil.Error):
                if process.name() in NAMES:
                    end([*process.children(recursive=True), process])
        time.sleep(LOOK_S)


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill them; one that has ended is no error."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
