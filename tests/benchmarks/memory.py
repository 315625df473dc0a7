"""What each of four processes that train on the same decoded pictures adds to the memory of a machine."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from raytune_planes.datasets.base import Arrays, Info
from tests.benchmarks.tables import Aim, Missing, Table
from tests.tuning.tiny import write_entry

PROCESSES = 4
CHILD = """
import sys
from pathlib import Path
import numpy as np
from raytune_planes.datasets.reopening import open_cached
from raytune_planes.datasets.pixels import Pixels

def share():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    print(next(int(l.split()[1]) for l in lines if l.startswith("Pss:")), flush=True)

Pixels  # imported, like all of torch, before the first look
for asked in sys.stdin:
    if asked.strip() == "read":
        pixels = Pixels(open_cached(Path(sys.argv[1])))
        for start in range(0, len(pixels._images_NHWC), 64):
            pixels.at(np.arange(start, min(start + 64, len(pixels._images_NHWC))))
    share()
"""


class Process:
    """A process that has imported what a trial imports, and reads the pictures when told."""

    def __init__(self, folder: Path) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", CHILD, str(folder)]
        self.running = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def ask(self, what: str) -> int:
        """Its proportional share of memory in KiB."""
        assert self.running.stdin is not None
        assert self.running.stdout is not None
        self.running.stdin.write(what + "\n")
        self.running.stdin.flush()
        return int(self.running.stdout.readline())

    def end(self) -> None:
        self.running.communicate()


def measure(quick: bool) -> Table:
    if not Path("/proc/self/smaps_rollup").is_file():
        raise Missing("it reads /proc/self/smaps_rollup, which only Linux has")
    images = 10_000 if quick else 20_000
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "cache" / "entry"
        arrays = _pictures(images)
        write_entry(arrays, folder)
        size = arrays.images_NHWC.nbytes / 2**20
        processes = [Process(folder) for _ in range(PROCESSES)]
        try:
            for process in processes:
                process.ask("look")
            totals = [_total(processes)]
            for process in processes:
                process.ask("read")
                totals.append(_total(processes))
        finally:
            for process in processes:
                process.end()
    added = [after - before for before, after in pairwise(totals)]
    further = sum(added[1:]) / len(added[1:]) / size
    rows = [(f"process {i}", f"{mib:.1f}", f"{mib / size:.3f}") for i, mib in enumerate(added, 1)]
    aims = [Aim("memory of a further trial / decoded pictures", further, 0.1)]
    figures = {"pictures MiB": size, "added MiB": added, "further": further}
    notes = (f"pictures of {size:.0f} MiB; proportional set size over all processes, imports taken off",)
    return Table("shared pictures", ("added by", "MiB", "of the pictures"), rows, figures, notes, aims)


def _total(processes: list[Process]) -> float:
    return sum(process.ask("look") for process in processes) / 1024


def _pictures(count: int) -> Arrays:
    rng = np.random.default_rng(0)
    info = Info("noise", ("a", "b"), ("a", "b"))
    images = rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)
    splits = dict(zip(("train", "val", "test"), np.split(np.arange(count), [count - 20, count - 10]), strict=True))
    return Arrays(info, images, np.arange(count) % 2, None, splits, "noise", True)
