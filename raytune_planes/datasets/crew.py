"""Several threads that share a list of work which may change while they go through it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each(do: Callable[[T], R], work: Iterable[T], workers: int, name: str) -> Iterator[R]:
    """The results in the order in which they are ready; a thread takes from ``work`` what comes next when it is free.

    The threads end with the program: those of a ``ThreadPoolExecutor`` would first do all that is left.

    Raises:
        BaseException: what ``do`` or ``work`` raised first. What runs then is waited for, nothing else begins.
    """
    ready: queue.SimpleQueue[tuple[bool, R | BaseException | None]] = queue.SimpleQueue()
    todo, lock, over = iter(work), threading.Lock(), threading.Event()

    def run() -> None:
        try:
            while not over.is_set():
                with lock:
                    try:
                        item = next(todo)
                    except StopIteration:
                        break
                ready.put((True, do(item)))
            ready.put((False, None))
        except BaseException as error:
            ready.put((False, error))

    threads = [threading.Thread(target=run, name=f"{name}-{i}", daemon=True) for i in range(workers)]
    for thread in threads:
        thread.start()
    try:
        running = len(threads)
        while running:
            is_result, found = ready.get()
            if is_result:
                yield found  # type: ignore[misc]
                continue
            running -= 1
            if isinstance(found, BaseException):
                raise found
    finally:
        over.set()
        for thread in threads:
            thread.join()
