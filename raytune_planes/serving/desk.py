"""A queue in front of a model: requests that wait at the same time are answered in one batch, by one thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from raytune_planes.errors import UserError
from raytune_planes.serving.answers import Answer
from raytune_planes.serving.batches import Asked, answer_all
from raytune_planes.serving.predictor import Model


class Busy(Exception):
    """As many requests wait already as may."""


@dataclass(frozen=True)
class _Waiting:
    asked: Asked
    answer: asyncio.Future[Answer]


class Desk:
    """Answers within ``open``; one for each event loop."""

    def __init__(self, model: Model, *, batch: int, waiting: int) -> None:
        """``batch``: pictures in one pass; ``waiting``: requests that may wait for one."""
        self.model, self._batch = model, batch
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(waiting)
        self.batches: list[int] = []
        """How many requests each batch had, the latest last; at most a hundred."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        with ThreadPoolExecutor(1, "model") as thread:
            work = asyncio.create_task(self._work(thread))
            try:
                yield
            finally:
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work

    async def ask(self, asked: Asked) -> Answer:
        """Raises UserError, Busy, or what the model raised."""
        one = _Waiting(asked, asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(one)
        except asyncio.QueueFull:
            raise Busy from None
        return await one.answer

    async def _work(self, thread: ThreadPoolExecutor) -> None:
        while True:
            several = [await self._queue.get()]
            while len(several) < self._batch and not self._queue.empty():
                several.append(self._queue.get_nowait())
            several = [each for each in several if not each.answer.done()]  # who asked may have gone
            if not several:
                continue
            self.batches = [*self.batches[-99:], len(several)]
            asked = [each.asked for each in several]
            try:
                found = await asyncio.get_running_loop().run_in_executor(thread, answer_all, self.model, asked)
            except Exception as error:  # of ours: all who asked are told, and the next batch is answered
                for each in several:
                    if not each.answer.done():
                        each.answer.set_exception(error)
                continue
            for each, answer in zip(several, found, strict=True):
                if each.answer.done():
                    continue
                if isinstance(answer, UserError):
                    each.answer.set_exception(answer)
                else:
                    each.answer.set_result(answer)
