"""How many processors this process may use: not those of the machine, but those that the system grants it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from raytune_planes.system import V2, control_groups


def allowed(proc: Path | None = None) -> int:
    """Processors for this process, at least 1: the fewest of the machine's, those of its affinity (``taskset``, a
    batch system, cpusets) and the quotas of its control groups, version 1 or 2 (containers, ``systemd-run``).

    A part of a processor is not counted: threads that share a quota stand still together once it is used up. Where
    the system tells nothing of affinity or control groups, as macOS does not, it is the number of the machine's.

    Args:
        proc: What Linux tells of the process; this one's when None.
    """
    limits = [float(os.cpu_count() or 1)]
    if hasattr(os, "sched_getaffinity"):
        limits.append(len(os.sched_getaffinity(0)))
    return max(1, int(min(limits + quotas(proc))))


def quotas(proc: Path | None = None) -> list[float]:
    """Processors that the control groups of a process and those above them grant; none where there is no limit."""
    limits = []
    for folder, kind in control_groups("cpu", proc):
        with suppress(OSError, ValueError, ZeroDivisionError):
            if kind == V2:
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            # "max" in version 2 and -1 in version 1 stand for no limit.
            if quota != "max" and int(quota) > 0:
                limits.append(int(quota) / int(period))
    return limits


def in_words(proc: Path | None = None) -> str:
    """What ``allowed`` rests on: ``2 of this machine's 8 processors: affinity 4, quota 2.5``."""
    parts = []
    if hasattr(os, "sched_getaffinity"):
        parts.append(f"affinity {len(os.sched_getaffinity(0))}")
    parts += [f"quota {min(granted):g}"] if (granted := quotas(proc)) else []
    because = ", ".join(parts) or "this system tells neither affinity nor quota"
    return f"{allowed(proc)} of this machine's {os.cpu_count() or 1} processors: {because}"


@contextmanager
def tensor_threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads, though no more than there are processors for it, and then as before.

    Its own default is a thread for every core of the machine.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(min(count, allowed()))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def wait_asleep() -> None:
    """Have threads of OpenMP wait asleep instead of in a busy loop, unless the user chose. Call before torch is loaded.

    On two cores that other programs used as well, two threads took 50 times the processor time of one for small
    pictures (9.7 s to 0.2 s), and 0.19 s where they wait asleep.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
