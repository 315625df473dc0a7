"""Pictures that are used while they are still being decoded: who needs a row asks for it, and waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from raytune_planes.errors import UserError

STATE = "pending.npy"
"""Of a folder that is being filled: what is there of each row, which rows are asked for, and why it failed."""
ABSENT, THERE, BROKEN = 0, 1, 2
TOLD_BYTES = 4096
"""For the reason of a failure."""
POLL_S = 0.005
LOOK_S = 1.0
"""How often a process that waits looks whether the one that decodes still lives."""


class BrokenPictures(UserError):
    """Pictures that a training uses cannot be decoded; every other training on them would end by it too."""


class State:
    """What the process that decodes and those that wait tell each other, in a file that all of them map."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, ValueError: there is none at ``path``, or it is cut short."""
        # A plain array: indexing np.memmap costs a Python call each time.
        whole = np.asarray(np.lib.format.open_memmap(path, mode="r+"))
        count = (len(whole) - TOLD_BYTES) // 2
        self.rows_N, self.asked_N, self._told = whole[:count], whole[count : 2 * count], whole[2 * count :]

    @classmethod
    def made(cls, path: Path, count: int) -> State:
        """A new one for ``count`` rows, of which none is there. Raises OSError."""
        np.save(path, np.zeros(2 * count + TOLD_BYTES, np.uint8))
        return cls(path)

    @property
    def told(self) -> str:
        """Why the decoding failed; empty while it goes on and when it is done."""
        return self._told.tobytes().rstrip(b"\0").decode(errors="ignore")

    def tell(self, reason: str) -> None:
        """The first reason stands."""
        if not self.told:
            data = np.frombuffer(reason.encode(errors="backslashreplace")[:TOLD_BYTES], np.uint8)
            self._told[: len(data)] = data

    @property
    def is_complete(self) -> bool:
        return bool((self.rows_N == THERE).all())


class Pending:
    """An array on disk whose rows are being filled: what is indexed is waited for, and decoded before what is not.

    It stands in for an array where its first axis is indexed: by a number, a slice or an array of numbers, and by
    slices of the other axes beside that.
    """

    def __init__(self, held: np.ndarray, state: State, lives: Callable[[], bool]) -> None:
        """``lives``: whether the process that decodes is there; asked while rows are waited for."""
        self.shape, self.dtype, self.ndim, self.nbytes = held.shape, held.dtype, held.ndim, held.nbytes
        self._held, self._state, self._lives = np.asarray(held), state, lives
        self._complete = False

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> np.ndarray:
        """Raises BrokenPictures: any of the pictures cannot be decoded, or nobody decodes them any more."""
        if not self._complete:
            self._wait(np.atleast_1d(np.arange(len(self))[key[0] if isinstance(key, tuple) else key]))
        return self._held[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of it."""
        return self[:].astype(dtype or self.dtype, copy=bool(copy))

    def _wait(self, rows: np.ndarray) -> None:
        state, looked_s, was_gone = self._state, time.monotonic(), False
        while len(rows := rows[state.rows_N[rows] != THERE]):
            state.asked_N[rows] = 1
            if reason := state.told:
                raise BrokenPictures(reason)
            if time.monotonic() - looked_s > LOOK_S:
                looked_s = time.monotonic()
                is_gone = not self._lives() and not state.told and bool((state.rows_N[rows] != THERE).any())
                if is_gone and was_gone:  # at the first look its process may be about to tell why
                    raise BrokenPictures("the process that decoded the pictures has ended; start again")
                was_gone = is_gone
            time.sleep(POLL_S)
        self._complete = state.is_complete
