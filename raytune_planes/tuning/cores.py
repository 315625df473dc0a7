"""How well trials use their cores: the time they ran, and the time they were ready while others had the core."""

from __future__ import annotations

import time
from dataclasses import dataclass

from raytune_planes.system import waited_s

WORTH_TELLING = 0.05


@dataclass(frozen=True)
class CoreTime:
    """Core-seconds of a process or of several."""

    busy_s: float = 0.0
    """On a core."""
    waited_s: float = 0.0
    """Ready to run, while another program had the core; 0 where the system does not say."""

    @staticmethod
    def now() -> CoreTime:
        """Of this process so far, over the threads that live."""
        return CoreTime(time.process_time(), waited_s())

    def since(self, before: CoreTime, processes: int = 1) -> CoreTime:
        """What came since ``before``, in each of so many processes that do the same."""
        busy, waited = self.busy_s - before.busy_s, max(0.0, self.waited_s - before.waited_s)
        return CoreTime(busy * processes, waited * processes)

    def __add__(self, other: CoreTime) -> CoreTime:
        return CoreTime(self.busy_s + other.busy_s, self.waited_s + other.waited_s)

    def of(self, cores: float, seconds: float) -> str:
        """``1.8 of 2 cores busy (90 %)``, and what other programs took of them when that is much."""
        used, needed = (s / seconds if seconds else 0.0 for s in (self.busy_s, self.busy_s + self.waited_s))
        text = f"{used:.1f} of {cores:g} cores busy ({100 * used / cores:.0f} %)"
        if needed - used < WORTH_TELLING * cores:
            return text
        share = min(100.0, 100 * needed / cores)
        return f"{text}; other programs slowed the trials, which had work for {share:.0f} % of the time"
