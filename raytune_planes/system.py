"""What Linux tells under /proc of this process: read here alone; a system without it, such as macOS, tells nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc/self")
V2, V1 = "cgroup2", "cgroup"
"""Versions of control groups, as mounts name them."""


def control_groups(controller: str, proc: Path | None = None) -> Iterator[tuple[Path, str]]:
    """The folders of the control groups that limit ``controller`` (``cpu``, ``memory``) for a process, each with its
    version: from its own group up to the root; none where the system tells of none.

    Args:
        proc: What Linux tells of the process; this one's when None.
    """
    proc = proc or PROC
    try:
        mounts = [line.split(" - ", 1) for line in (proc / "mountinfo").read_text().splitlines() if " - cgroup" in line]
        lines = [line.split(":", 2) for line in (proc / "cgroup").read_text().splitlines()]
    except OSError:
        return
    paths = {V2 if not names else V1: path for _, names, path in lines if not names or controller in names.split(",")}
    for where, what in mounts:
        root, mount = where.split()[3:5]
        kind, *_, options = what.split()
        if kind not in paths or (kind == V1 and controller not in options.split(",")):
            continue
        # A container may see its own group mounted as the root, and be told the group's path on the host.
        inside = paths[kind].removeprefix(root.rstrip("/")).strip("/")
        own = Path(mount) / inside
        for folder in (own, *own.parents):
            if folder.is_relative_to(mount):
                yield folder, kind


def waited_s(proc: Path | None = None) -> float:
    """Seconds for which threads of this process were ready to run while others had the core, over those that live;
    0 where the system does not tell."""
    waited = 0
    # ``schedstat``: nanoseconds on a core, nanoseconds in the queue for one.
    for task in ((proc or PROC) / "task").glob("*/schedstat"):
        with suppress(OSError, ValueError, IndexError):  # a thread may end meanwhile
            waited += int(task.read_text().split()[1])
    return waited / 1e9


def machine(proc: Path | None = None) -> str:
    """This machine since it was started, the same for every process that it runs; its name where the system does not
    tell its starts apart."""
    with suppress(OSError):
        return ((proc or PROC).parent / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return socket.gethostname()
