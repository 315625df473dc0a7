"""Processes of one cluster on this machine: run one and pass signals on to it, find them, end them."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
TWICE_S = 1.0
"""`timeout` sends a signal to a process and again to its group: one wish, so it is passed on once. On a busy machine
the second may come much later."""


def run(
    command: Sequence[str], environment: Mapping[str, str], *, interactive: bool, record: Path | None = None
) -> int:
    """Run ``command`` to its end and return its exit status (128 + n where signal n ended it).

    A command that is not interactive gets its own process group: the terminal's Ctrl-C then reaches it
    through us, exactly once, and never Ray's daemons. An interactive one stays in the terminal's group and
    gets Ctrl-C from there. ``record``: a folder that holds a file named after the process while it runs.
    """
    # A background group that reads from the terminal is stopped by the kernel: give it nothing to read.
    no_input = not interactive and sys.stdin is not None and sys.stdin.isatty()
    with _arriving() as arriving:
        child = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL if no_input else None,
            process_group=None if interactive else 0,
        )
        kept = FROM_THE_TERMINAL if interactive else ()
        threading.Thread(target=_pass_on, args=(arriving, child, kept), daemon=True).start()
        with _recorded(record, child.pid):
            status = child.wait()
    return status if status >= 0 else 128 - status


def _pass_on(arriving: int, child: subprocess.Popen[bytes], kept: Collection[int]) -> None:
    """Pass each signal on whose number comes out of ``arriving`` and is not in ``kept``, in order, until its end.

    A handler that passed them on itself could be interrupted by the second of two equal signals before it has noted the
    first, and would then pass both on.
    """
    last: dict[int, float] = {}
    with open(arriving, "rb", buffering=0) as numbers:
        while number := numbers.read(1):
            now = time.monotonic()
            if number[0] in PASSED_ON and number[0] not in kept and now - last.get(number[0], -math.inf) > TWICE_S:
                child.send_signal(number[0])
            last[number[0]] = now


@contextmanager
def _arriving() -> Iterator[int]:
    """A pipe to read from, into which each signal to pass on is written as a byte; the reader closes it.

    Python's own C handler writes them, at once and in whichever thread gets the signal. Only the main thread may ask
    for that; elsewhere nothing arrives.
    """
    reading, writing = os.pipe()
    try:
        if threading.current_thread() is not threading.main_thread():
            yield reading
            return
        os.set_blocking(writing, False)
        earlier = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        before = {number: signal.signal(number, lambda *_: None) for number in PASSED_ON}
        try:
            yield reading
        finally:
            for number, old in before.items():
                signal.signal(number, old)
            signal.set_wakeup_fd(earlier)
    finally:
        os.close(writing)


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
    processes = set()
    for note in folder.glob("[0-9]*"):
        try:
            process = psutil.Process(int(note.name))
            if repr(process.create_time()) == note.read_text():
                processes.add(process)
        except (psutil.NoSuchProcess, FileNotFoundError, ValueError):  # it has ended, or the file is no note of ours
            continue
    return processes


def ray_processes(folder: Path) -> set[psutil.Process]:
    """Ray's daemons that keep their session somewhere under ``folder``, with everything they started.

    `ray stop` ends every Ray process of the user; a session's folder stands in its daemons' arguments and
    tells one cluster from another. Somebody who merely reads a log there is no daemon.
    """
    processes: set[psutil.Process] = set()
    for process in psutil.process_iter(["cmdline", "uids"]):
        words = process.info["cmdline"] or []
        mine = process.info["uids"] and process.info["uids"].real == os.getuid()
        if mine and any(f"{folder}/" in word for word in words) and any("-packages/ray/" in word for word in words):
            try:
                processes |= {process, *process.children(recursive=True)}
            except psutil.NoSuchProcess:
                continue
    here = psutil.Process()
    return processes - {here, *here.parents()}


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
