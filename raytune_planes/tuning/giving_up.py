"""A start of Ray that nobody waits for any more, as after Ctrl-C: it is not tried again."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import psutil

from raytune_planes.errors import UserError
from raytune_planes.waiting import told_while

GIVEN_UP = threading.Event()
"""Nobody waits any more for the start that is under way."""


class TooBusy(UserError):
    """Ray did not start in time."""


def wait(start: Future[Any]) -> None:
    """Let a start end without another try. What is under way cannot be stopped: Ray looks for its processes for up to
    30 s, also once they are gone, and of a start that is broken off others would be left."""
    GIVEN_UP.set()
    try:
        with suppress(Exception), told_while(lambda: "Ray's start is given up, which takes up to 30 s"):
            start.result()
    finally:
        GIVEN_UP.clear()


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill them; one that has ended is no error."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
