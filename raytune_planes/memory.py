"""How much memory this process may use: not that of the machine, but what the system grants it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

from raytune_planes.system import V2, control_groups

GIB = 2**30


def limits(proc: Path | None = None) -> list[int]:
    """Bytes that the control groups of a process, and those above them, grant; none where there is no limit."""
    sizes = []
    for folder, kind in control_groups("memory", proc):
        with suppress(OSError, ValueError):
            # "max" in version 2 stands for no limit; version 1 has a number above the memory of any machine.
            sizes.append(int((folder / ("memory.max" if kind == V2 else "memory.limit_in_bytes")).read_text()))
    return sizes


def granted(proc: Path | None = None) -> int:
    """Bytes for this process and its children: the least of the machine's and of the limits of its control groups
    (Docker, Kubernetes, ``systemd-run``, batch systems)."""
    return min([int(psutil.virtual_memory().total), *limits(proc)])


def is_limited(proc: Path | None = None) -> bool:
    """Whether less than the machine's memory is granted."""
    return granted(proc) < psutil.virtual_memory().total
