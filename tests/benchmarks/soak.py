"""A long study of short trials: memory, open files, processes and disk must not grow with the trials behind it."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import psutil

from raytune_planes.datasets.synthetic import synthesise
from tests.benchmarks.tables import Aim, Table
from tests.chaos.attack import SPACE, Study

TRIALS, QUICK = 200, 20
LIMIT_S = 3600.0
FLAT = 1.1
"""The last quarter of the trials may need this much of what the second quarter needed."""


@dataclass(frozen=True)
class Look:
    """The study's processes at one moment."""

    memory_mib: float
    """Resident, less what is shared, of the driver, Ray and the trials."""
    driver_mib: float
    files: float
    """Open in all processes."""
    processes: float
    disk_kib: float
    """Of the study's folder, divided by the trials that have ended."""


def measure(quick: bool) -> Table:
    """Raises AssertionError when the study fails or leaves a process behind."""
    trials = QUICK if quick else TRIALS
    root = Path(tempfile.mkdtemp(prefix="soak-"))
    synthesise(root / "data", planesnet=48, hrplanes=4, fgvc=24, fgvc_classes=3, seed=0, scene_side=320)
    (root / "soak.yaml").write_text(SPACE.format(epochs=2, steps=2))
    words = (str(root / "soak.yaml"), "--data", str(root / "data"), "--cache", str(root / "cache"))
    study = Study(root / "out", "soak", (*words, "--trials", str(trials), "--concurrent", "2"))
    looks, everybody = _watch(study, trials)
    if study.ended() != 0:
        raise AssertionError(study.said()[-3000:])
    _, left = psutil.wait_procs(everybody, timeout=60)
    if left:
        raise AssertionError(f"left behind: {[p.pid for p in left]}")
    shutil.rmtree(root)
    names = ("memory [MiB]", "of the driver [MiB]", "open files", "processes", "disk [KiB a trial]")
    early, late = _quarter(looks, trials, 1), _quarter(looks, trials, 3)
    ratios = [b / a for a, b in zip(early, late, strict=True)]
    rows = [
        (name, f"{a:,.0f}", f"{b:,.0f}", f"{r:.2f}") for name, a, b, r in zip(names, early, late, ratios, strict=True)
    ]
    return Table(
        f"Soak: {trials} short trials, medians of the second and of the last quarter",
        ("", "second", "last", "ratio"),
        rows,
        dict(zip(names, ratios, strict=True)),
        ("no process was left behind",),
        [Aim(name, ratio, FLAT) for name, ratio in zip(names, ratios, strict=True)],
    )


def _watch(study: Study, trials: int) -> tuple[list[tuple[int, Look]], list[psutil.Process]]:
    """Looks with the number of trials that had ended; and every process that the study ever had."""
    looks: list[tuple[int, Look]] = []
    everybody: set[psutil.Process] = set()
    deadline = time.monotonic() + LIMIT_S
    study.start()
    try:
        while study.ended() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"not ended after {LIMIT_S:g} s: {study.said()[-2000:]}")
            everybody |= set(study.children())
            ended = len(list(study.folder.glob("trials/*/end.json")))
            if 0 < ended < trials:
                looks.append((ended, _look(study, ended)))
            time.sleep(2)
    finally:
        if study.ended() is None:
            study.kill()
    return looks, list(everybody)


def _look(study: Study, ended: int) -> Look:
    assert study.driver is not None
    memory, files, count, driver = 0.0, 0.0, 0, 0.0
    for process in [psutil.Process(study.driver.pid), *study.children()]:
        with suppress(psutil.Error):
            resident, opened = process.memory_full_info().uss / 2**20, process.num_fds()
            memory, files, count = memory + resident, files + opened, count + 1
            driver = resident if process.pid == study.driver.pid else driver
    size = subprocess.run(["du", "-sk", str(study.folder)], capture_output=True, text=True, check=True).stdout
    return Look(memory, driver, files, count, float(size.split()[0]) / ended)


def _quarter(looks: Sequence[tuple[int, Look]], trials: int, which: int) -> list[float]:
    """Medians over a quarter of the trials, 0 for the first."""
    low, high = trials * which // 4, trials * (which + 1) // 4
    chosen = [astuple(look) for ended, look in looks if low <= ended < high]
    if not chosen:
        print(f"soak: no look at trials {low} to {high}", file=sys.stderr)
        return [float("nan")] * 5
    return [statistics.median(column) for column in zip(*chosen, strict=True)]
