"""Every reader of strangers' files under random changes and, where atheris is there, under those that coverage guides.

``uv run --with atheris python -m tests.benchmarks fuzz`` runs both.
"""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.benchmarks.tables import Table
from tests.fuzz.changes import changed
from tests.fuzz.fence import fence
from tests.fuzz.targets import TARGETS, attempt

INPUTS, GUIDED = 8_000, 2_000
"""Inputs of each reader: by random changes, and guided by coverage."""
SLOW_S, HANG_S = 5.0, 120
"""An input that takes longer counts as a hang: processor time, and wall-clock time where coverage guides."""


def measure(quick: bool) -> Table:
    """Raises AssertionError naming the first input that broke a reader; the input is kept in a file."""
    warnings.simplefilter("ignore")
    guided = GUIDED if importlib.util.find_spec("atheris") else 0
    rows, total = [], 0
    for name in TARGETS:
        inputs, taken, slowest = _random(name, INPUTS // (20 if quick else 1))
        more = _guided(name, guided // (20 if quick else 1)) if guided else 0
        total += inputs + more
        rows.append((name, f"{inputs:,}", f"{more:,}", f"{taken / inputs:.2f}", f"{slowest * 1000:.0f}"))
    header = ("reader", "changed at random", "guided", "share taken", "slowest [ms]")
    notes = () if guided else ("atheris is not installed: nothing was guided by coverage",)
    return Table(
        f"Fuzzing: {total:,} inputs, no crash, no hang, no write elsewhere", header, rows, {"inputs": total}, notes
    )


def _random(name: str, inputs: int) -> tuple[int, int, float]:
    target, chance = TARGETS[name], random.Random(name)
    seeds, taken, slowest = list(target.seeds()), 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(inputs):
            data = changed(chance.choice(seeds), chance)
            started = time.process_time()
            try:
                with fence(Path(folder)) as outside:
                    taken += attempt(target, data, Path(folder))
            except Exception as error:
                raise AssertionError(
                    f"{name}: {type(error).__name__}: {error}; input kept in {_keep(name, data)}"
                ) from error
            slowest = max(slowest, time.process_time() - started)
            if outside or slowest > SLOW_S:
                raise AssertionError(f"{name}: {outside or f'{slowest:.1f} s'}; input kept in {_keep(name, data)}")
    return inputs, taken, slowest


def _guided(name: str, inputs: int) -> int:
    """In a process of its own: a crash ends it, and its modules are instrumented as they are imported."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.fuzz.guided", name, folder, f"-runs={inputs}", f"-timeout={HANG_S}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{name}, guided: {done.stderr[-3000:]}")
    return inputs


def _keep(name: str, data: bytes) -> Path:
    path = Path(tempfile.gettempdir()) / f"fuzz-{name}"
    path.write_bytes(data)
    return path
