"""Checkpoints are written by a thread of their own: the training goes on while the disk takes them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from torch import Tensor

from raytune_planes.training.checkpoint import Checkpoint

log = logging.getLogger(__name__)


class Writer:
    """Takes a snapshot of each checkpoint and writes it while the training goes on, one after the other.

    At most one is on its way, so that memory holds one snapshot: the next waits until it is written. What goes wrong is
    raised by the next call, at the latest by ``flush``. As a context manager it has written all when the block ends.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def save(self, checkpoint: Checkpoint, folder: Path, then: Callable[[], None] = lambda: None) -> None:
        """As ``checkpoint.save(folder)``, which happens later, and ``then`` what must not be on the disk before.

        Raises:
            OSError: the one before could not be written.
        """
        self.flush()
        self._writing = self._thread.submit(_write, snapshot(checkpoint), folder, then)

    def flush(self) -> None:
        """Return when all is on the disk. Raises OSError when it could not be written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.flush()
        except OSError as unwritten:
            if error is None:
                raise
            log.warning("the last checkpoint was not written: %s", unwritten)  # the block's own error passes
        finally:
            self._thread.shutdown()


def _write(taken: Checkpoint, folder: Path, then: Callable[[], None]) -> None:
    taken.save(folder)
    then()


def snapshot(checkpoint: Checkpoint) -> Checkpoint:
    """A copy on the CPU that nothing changes any more. What shares memory, as the model in ``best.pt`` and ``last.pt``
    does, is copied once."""
    taken: dict[Any, Tensor] = {}
    state, model = (_copied(part, taken) for part in (checkpoint.state, checkpoint.model))
    return replace(checkpoint, state=state, model=model, predictions=dict(checkpoint.predictions))


def _copied(value: Any, taken: dict[Any, Tensor]) -> Any:
    if isinstance(value, Tensor):
        return _taken(value, taken)
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, Mapping):
        return {key: _copied(each, taken) for key, each in value.items()}
    if isinstance(value, list):
        return [_copied(each, taken) for each in value]
    if isinstance(value, tuple):
        return tuple(_copied(each, taken) for each in value)
    return value


def _taken(tensor: Tensor, taken: dict[Any, Tensor]) -> Tensor:
    key = tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device
    if tensor.numel() == 0 or key not in taken:
        taken[key] = tensor.detach().to("cpu", copy=True)
    return taken[key]
