"""How benchmarks take time: processor time, variants in turn, medians, so that a shared machine cannot decide."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import psutil


def in_turn(variants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each variant in each round; every variant runs once unmeasured before.

    The order rotates from round to round, so that none always follows the same neighbour.
    """
    names = list(variants)
    for name in names:
        variants[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        for i in range(len(names)):
            name = names[(turn + i) % len(names)]
            before = time.process_time()
            variants[name]()
            seconds[name].append(time.process_time() - before)
    return seconds


def ratio(one: list[float], other: list[float]) -> float:
    """The median over rounds of ``one`` divided by ``other`` of the same round."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


class Spent:
    """Processor time of a block: this process and all its descendants, looked at twice a second.

    What a process that ends between two looks has used since the last is missing, which favours those who start many.
    """

    def __init__(self) -> None:
        self.by_process: dict[str, float] = {}
        """Processor seconds by the name of the process."""
        self._seen: dict[tuple[int, float], tuple[str, float]] = {}
        self._over = threading.Event()

    @property
    def seconds(self) -> float:
        return sum(self.by_process.values())

    def __enter__(self) -> Spent:
        self._before = _tree()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._seen |= _tree()
        for process, (name, total) in self._seen.items():
            gained = total - self._before.get(process, ("", 0.0))[1]
            self.by_process[name] = self.by_process.get(name, 0.0) + gained
        self.by_process["driver"] -= self._own

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            self._seen |= _tree()
        self._own = time.thread_time()


def _tree() -> dict[tuple[int, float], tuple[str, float]]:
    """Of this process and its descendants: name and processor seconds."""
    own = psutil.Process(os.getpid())
    found: dict[tuple[int, float], tuple[str, float]] = {}
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.Error):
            times, line = process.cpu_times(), process.cmdline()
            name = line[0].split("/")[-1][:30] if line else process.name()
            name = "driver" if process.pid == own.pid else name
            found[process.pid, process.create_time()] = (name, times.user + times.system)
    return found
