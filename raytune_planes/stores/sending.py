"""Sends results beside the work that makes them: a store that is away delays, is told of once, and loses nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from raytune_planes.errors import UserError

PAUSE_S = 5.0
"""Between two looks for what has changed."""
LONGEST_S = 60.0
"""Between two tries while the store does not answer; it doubles from ``PAUSE_S`` on."""
SHARE = 20
"""How many times as long as a look took, the next one waits at least."""


class Sender:
    """Calls ``send`` again and again from ``with`` to its end, from a thread of its own."""

    def __init__(self, send: Callable[[], int], say: Callable[[str], None], kept: str) -> None:
        """``kept``: where the results lie meanwhile, for people."""
        self._send, self._say, self._kept = send, say, kept
        self._over = threading.Event()
        self._pause_s, self._away = PAUSE_S, False
        self._thread = threading.Thread(target=self._run, name="sender")

    def __enter__(self) -> Sender:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def finish(self) -> None:
        """Send until nothing is left. Raises KeyboardInterrupt: whoever waits has had enough."""
        self._over.set()
        self._thread.join()
        while self.once() != 0:
            time.sleep(self._pause_s if self._away else 0)

    def _run(self) -> None:
        while not self._over.wait(self._pause_s):
            self.once()

    def once(self) -> int | None:
        """How many were sent; None where the store or the disk did not let it."""
        began_s = time.monotonic()
        try:
            sent = self._send()
        except (UserError, OSError) as error:
            if not self._away:
                self._say(f"Results are kept in {self._kept} and are sent when that is possible again: {error}")
            self._pause_s, self._away = min(LONGEST_S, 2 * self._pause_s), True
            return None
        if self._away:
            self._say("Results are sent again")
        # Looking for changes among very many files takes seconds, and is done the less often.
        self._pause_s, self._away = max(PAUSE_S, SHARE * (time.monotonic() - began_s)), False
        return sent
