"""Ctrl-C and SIGTERM during a study: the first is a wish that is met where records are whole, the second is final."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
TWICE_S = 1.0
"""Some terminals, and launchers between them and us, send one wish twice."""


class Interrupt:
    """Notes the wish to stop from ``with`` to its end; does nothing outside of the main thread."""

    def __init__(self) -> None:
        self.requested = False
        self.reason = "interrupted by Ctrl-C or SIGTERM"
        self._first_s = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def ask(self, reason: str = "") -> None:
        """Stop as by a first signal."""
        if not self.requested:
            self.reason = reason or self.reason
            self._first_s = time.monotonic()  # before the next line: a second signal may come between the two
            self.requested = True

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested and time.monotonic() - self._first_s > TWICE_S:
            raise KeyboardInterrupt
        self.ask()
