"""Processor time of the light verbs, each in a fresh process."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from tests.benchmarks.tables import Aim, Table

VERBS = {"--help": (["--help"], 0.5), "check": (["check", "quick"], 1.0)}
"""Arguments, and the processor seconds that are meant to be enough."""


def measure(quick: bool) -> Table:
    rows, figures, aims = [], {}, []
    for name, (arguments, limit) in VERBS.items():
        took = statistics.median(_seconds(arguments) for _ in range(3 if quick else 9))
        rows.append((name, f"{took:.2f}"))
        figures[name] = took
        aims.append(Aim(f"{name}: processor seconds", took, limit))
    return Table("start-up", ("verb", "processor s"), rows, figures, aims=aims)


def _seconds(arguments: list[str]) -> float:
    before = os.times()
    subprocess.run([sys.executable, "-m", "raytune_planes", *arguments], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
