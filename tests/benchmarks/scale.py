"""What 400 trials at once cost the driver while each reports every 30 s: its share of one core, part by part.

Stub trials as in ``growth``, paced as real ones. Ray is left out: its own work, and its answers about hosts.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter, deque
from pathlib import Path

from raytune_planes.tracking.base import StudyEnd, StudyStart
from raytune_planes.tuning.lease import Lease
from raytune_planes.tuning.nodes import Node
from raytune_planes.tuning.pools import Needs, Pools
from raytune_planes.tuning.rungs import Rungs
from raytune_planes.tuning.search import Search
from raytune_planes.tuning.shared_database import SharedDatabase
from raytune_planes.tuning.watch import Watch
from tests.benchmarks.growth import DIMENSIONS, GOAL, Study
from tests.benchmarks.tables import Aim, Table

AT_ONCE, EVERY_S, EPOCHS = 400, 30.0, 20
"""A trial of ten minutes, whose epochs take half a minute."""
HOSTS, CPUS = 100, 4
VARIABLE = "RAYTUNE_PLANES_SEARCH_DB"
"""Names a PostgreSQL to measure in place of the file."""
MLFLOW = "MLflow (its thread)"


class Crowd(Study):
    """A study that has trials that ended, and keeps ``AT_ONCE`` others running. None is pruned."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rungs = Rungs(GOAL, 10**9, 3, budget=10**9)
        if address := os.environ.get(VARIABLE):
            self.search = Search(self.space, SharedDatabase(address, self.folder / "growth", "growth"))

    def fill(self, ended: int) -> Counter[str]:
        """Bring it there as fast as it goes; returns the processor seconds of starting the crowd."""
        start = StudyStart("growth", GOAL, searched=tuple(d.path for d in DIMENSIONS), started_ms=1)
        self.files.start_study(start)
        self.mlflow.start_study(start)
        self.pools = Pools(Needs(), lambda: [Node(CPUS, 0.0, f"host-{n}", False) for n in range(HOSTS)])
        self.watch = Watch(self.files.folder, stall_minutes=60, free_gib=0.001)
        self.running, self.places = deque[str](), dict[str, str]()
        self.epochs = 1
        for _ in range(ended):
            trial_id = self._start()
            assert trial_id is not None
            self._epoch(trial_id)
        self.seconds.clear()
        for _ in range(AT_ONCE):
            self._begin()
        return self.seconds.copy()

    def keep(self, seconds: float) -> None:
        """``seconds`` of such a study; where the machine is too slow it takes longer, and counts the same."""
        began = time.monotonic()
        for turn in range(int(seconds * AT_ONCE / EVERY_S)):
            time.sleep(max(0.0, began + turn * EVERY_S / AT_ONCE - time.monotonic()))
            trial_id = self.running.popleft()
            with self.part("what each step looks at"):
                self.watch.reported(trial_id)
                self.watch.folder()
                self.watch.disk()
                for other in self.running:
                    self.watch.silence(other)
            self.epochs = EPOCHS if turn % EPOCHS else len(self.known[trial_id].epochs) + 1  # one in 20 ends here
            if self._epoch(trial_id):
                self.pools.release(self.places.pop(trial_id))
                self._begin()
            else:
                self.running.append(trial_id)

    def _begin(self) -> None:
        with self.part("a place for a trial"):
            place = self.pools.take(name := f"trial-{len(self.known)}")
        assert place is not None
        trial_id = self._start()
        assert trial_id is not None
        self.places[trial_id] = name
        self.watch.reported(trial_id)
        self.running.append(trial_id)


def measure(quick: bool) -> Table:
    ended, seconds = (50, 30.0) if quick else (600, 120.0)
    folder = Path(tempfile.mkdtemp(prefix="scale-"))
    try:
        study = Crowd(folder, 100_000, EPOCHS)
        with Lease(folder / "growth"):
            filled = study.fill(ended)
            study.seconds.clear()
            whole, own = time.process_time(), time.thread_time()
            study.keep(seconds)
            others = time.process_time() - whole - (time.thread_time() - own)
        study.files.end_study(StudyEnd())
        study.mlflow.end_study(StudyEnd())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    shares = {name: used / seconds for name, used in study.seconds.items()} | {MLFLOW: others / seconds}
    total = sum(shares.values())
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    per_start = {name: 1000 * used / AT_ONCE for name, used in filled.items()}
    rows = [(name, f"{100 * share:.1f}", f"{per_start.get(name, 0):.0f}") for name, share in ordered]
    rows.append(("all", f"{100 * total:.1f}", f"{sum(per_start.values()):.0f}"))
    notes = (
        f"{AT_ONCE} trials at once, {EPOCHS} epochs of {EVERY_S:.0f} s each, after {ended} that have ended; "
        f"{seconds:.0f} s of it; {'PostgreSQL' if os.environ.get(VARIABLE) else 'SQLite'}",
    )
    header = ("part", "% of a core", "ms to start one of the 400")
    return Table("400 trials at once", header, rows, {**shares, "all": total}, notes, [Aim("cores", total, 0.5)])
