"""The batches of an epoch or an evaluation, in order; for a GPU they are made ahead, by a thread on its own stream."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch

from raytune_planes.datasets.loaders import Batch

AHEAD = 2
"""Batches that are ready beside the one in use: each holds memory of the card."""
Numbered = tuple[str, int]
"""A dataset, and what says which of its batches."""


class Side(Protocol):
    """Where batches are made beside the steps of training."""

    def entered(self) -> AbstractContextManager[object]:
        """For the thread that makes them."""
        ...

    def mark(self) -> object:
        """A point in the work of that thread: a batch is complete."""
        ...

    def received(self, batch: Batch, mark: object) -> Batch:
        """The batch, for steps that come after ``mark``; called by the thread that trains."""
        ...


class Stream:
    """A stream of an NVIDIA GPU: copies and augmentation run beside the steps, and no host waits for either."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._stream = device, _beside(device)
        self._stream.wait_stream(torch.cuda.current_stream(device))  # datasets may still be on their way to the card

    def entered(self) -> AbstractContextManager[object]:
        entered: AbstractContextManager[object] = torch.cuda.stream(self._stream)
        return entered

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event()
        event.record(self._stream)
        return event

    def received(self, batch: Batch, mark: object) -> Batch:
        assert isinstance(mark, torch.cuda.Event)
        current = torch.cuda.current_stream(self._device)
        current.wait_event(mark)
        for rows in batch.rows:
            if rows is not None and rows.device.type == "cuda":
                rows.record_stream(current)  # else its memory would be given away while the step still reads it
        return batch


@cache
def _beside(device: torch.device) -> torch.cuda.Stream:
    """The same for all epochs and evaluations: torch gives out 32 streams in turn, and what batches leave of a card's
    memory is kept for the stream that they were made on alone."""
    return torch.cuda.Stream(device)


class Beside:
    """No stream: what the thread has made is complete."""

    def entered(self) -> AbstractContextManager[object]:
        return nullcontext()

    def mark(self) -> None:
        return None

    def received(self, batch: Batch, mark: object) -> Batch:
        return batch


@contextmanager
def batches(
    make: Callable[[str, int], Batch], order: Sequence[Numbered], device: torch.device
) -> Iterator[Iterator[Batch]]:
    """The batches ``order`` that ``make`` gives, for the time of the block.

    On an NVIDIA GPU they are made ahead of their turn; elsewhere at their turn, in the calling thread. ``make`` must
    depend on what it is given alone.
    """
    if device.type != "cuda":
        yield (make(*each) for each in order)
        return
    with made_ahead(make, order, Stream(device)) as coming:
        yield coming


@contextmanager
def made_ahead(make: Callable[[str, int], Batch], order: Sequence[Numbered], side: Side) -> Iterator[Iterator[Batch]]:
    """The same from a thread, which has ended when the block ends; what it raises is raised at the batch's turn."""
    ready: queue.Queue[_Made] = queue.Queue(AHEAD)
    enough = threading.Event()

    def put(made: _Made) -> None:
        while not enough.is_set():
            with suppress(queue.Full):
                ready.put(made, timeout=0.1)
                return

    def fill() -> None:
        try:
            with side.entered():
                for each in order:
                    if enough.is_set():
                        return
                    batch = make(*each)
                    put(_Made(batch, side.mark()))
        except BaseException as error:  # for the thread that waits
            put(_Made(error=error))

    def received() -> Iterator[Batch]:
        for _ in order:
            made = ready.get()
            if made.error is not None:
                raise made.error
            assert made.batch is not None
            yield side.received(made.batch, made.mark)

    thread = threading.Thread(target=fill, name="batches", daemon=True)
    thread.start()
    try:
        yield received()
    finally:
        enough.set()
        thread.join()


@dataclass(frozen=True)
class _Made:
    batch: Batch | None = None
    mark: object = None
    error: BaseException | None = None
