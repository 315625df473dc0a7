"""A wait that may be long is told while it lasts, so that a program which is silent is not taken for one that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from raytune_planes.printing import told

AFTER_S, AGAIN_S = 10.0, 60.0
"""When a wait is told first, and how often after that."""


@contextmanager
def told_while(what: Callable[[], str], say: Callable[[str], None] = told) -> Iterator[None]:
    """Tell what is waited for, and for how long, while the block lasts; nothing where it is short.

    Args:
        what: Asked each time, from a thread; what it raises is told in its place.
    """
    over, began = threading.Event(), time.monotonic()

    def tell() -> None:
        pause = AFTER_S
        while not over.wait(pause):
            pause = AGAIN_S
            try:
                line = what()
            except Exception as error:
                line = f"still waiting ({type(error).__name__}: {error})"
            if not over.is_set():
                say(f"{line}; {time.monotonic() - began:.0f} s so far")

    thread = threading.Thread(target=tell, name="told while waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
