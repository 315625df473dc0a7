"""Processes of one cluster on this machine: run one and pass signals on to it, find them, end them."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

import psutil

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
TWICE_S = 1.0
"""`timeout` sends a signal to a process and again to its group: one wish, so it is passed on once. On a busy machine the
second may come much later."""

Arrival = tuple[int, float]
"""A signal's number, and when it arrived, in seconds of ``time.monotonic``."""


def run(
    command: Sequence[str], environment: Mapping[str, str], *, interactive: bool, record: Path | None = None
) -> int:
    """Run ``command`` to its end and return its exit status (128 + n where signal n ended it).

    A command that is not interactive gets its own process group: the terminal's Ctrl-C then reaches it
    through us, exactly once, and never Ray's daemons. An interactive one stays in the terminal's group and
    gets Ctrl-C from there. ``record``: a folder that holds a file named after the process while it runs.
    """
    arrived: SimpleQueue[Arrival | None] = SimpleQueue()
    # A background group that reads from the terminal is stopped by the kernel: give it nothing to read.
    no_input = not interactive and sys.stdin is not None and sys.stdin.isatty()
    with _handling(lambda number, _: arrived.put((number, time.monotonic()))):
        child = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL if no_input else None,
            process_group=None if interactive else 0,
        )
        passing = threading.Thread(target=_pass_on, args=(child, arrived, FROM_THE_TERMINAL if interactive else ()))
        passing.start()
        try:
            with _recorded(record, child.pid):
                status = child.wait()
        finally:
            arrived.put(None)
            passing.join()
    return status if status >= 0 else 128 - status


def _pass_on(child: subprocess.Popen[bytes], arrived: SimpleQueue[Arrival | None], kept: Collection[int]) -> None:
    """Pass each signal on that is not in ``kept``, in the order of arrival, until None arrives.

    One thread takes them from a queue: a handler that passed them on itself could be interrupted by the second of two
    equal signals before it has noted the first, and would then pass both on.
    """
    last: dict[int, float] = {}
    while (arrival := arrived.get()) is not None:
        number, at_s = arrival
        if number not in kept and at_s - last.get(number, -math.inf) > TWICE_S:
            child.send_signal(number)
        last[number] = at_s


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call ``handler`` on each signal to pass on. Python allows that in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in PASSED_ON}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def _recorded(folder: Path | None, pid: int) -> Iterator[None]:
    if folder is None:
        yield
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    note = folder / str(pid)
    note.write_text(repr(psutil.Process(pid).create_time()))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def recorded(folder: Path) -> set[psutil.Process]:
    """The processes noted in ``folder`` that still run; an id that another process got since does not count."""
    found = set()
    for note in folder.glob("[0-9]*"):
        try:
            process = psutil.Process(int(note.name))
            if repr(process.create_time()) == note.read_text():
                found.add(process)
        except (psutil.NoSuchProcess, FileNotFoundError):
            continue
    return found


def ray_processes(folder: Path) -> set[psutil.Process]:
    """Ray's daemons that keep their session somewhere under ``folder``, with everything they started.

    `ray stop` ends every Ray process of the user; a session's folder stands in its daemons' arguments and
    tells one cluster from another. Somebody who merely reads a log there is no daemon.
    """
    found: set[psutil.Process] = set()
    for process in psutil.process_iter(["cmdline", "uids"]):
        words = process.info["cmdline"] or []
        mine = process.info["uids"] and process.info["uids"].real == os.getuid()
        if mine and any(f"{folder}/" in word for word in words) and any("-packages/ray/" in word for word in words):
            try:
                found |= {process, *process.children(recursive=True)}
            except psutil.NoSuchProcess:
                continue
    here = psutil.Process()
    return found - {here, *here.parents()}


def end(processes: Iterable[psutil.Process], patience_s: float) -> None:
    """Ask ``processes`` to end, and kill those that have not after ``patience_s`` seconds."""
    alive = list(processes)
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        for process in alive:
            try:
                ask(process)
            except psutil.NoSuchProcess:
                continue
        _, alive = psutil.wait_procs(alive, timeout=patience_s)
