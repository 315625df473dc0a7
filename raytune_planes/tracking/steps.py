"""How far a running trial is within its epoch: a small file in its folder, for those who watch; no record."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from raytune_planes.tracking.reading import MALFORMED

FILE = ".steps.json"
"""Hidden: it is neither kept nor sent anywhere."""
EVERY_S = 1.0


@dataclass(frozen=True)
class Steps:
    """Of the epoch that is being trained or validated."""

    done: int
    steps: int
    """Of the whole epoch, in batches like ``done``."""
    images: int
    """Training images of ``done``, over all workers."""
    seconds: float
    """Since the epoch began."""
    loss: float | None = None
    """Of the images so far, as ``train/loss`` of an epoch; None before the first."""
    epochs: int = 0
    """Whole ones before, where no record tells them while the training runs."""

    @property
    def share(self) -> float:
        """In [0, 1]."""
        return self.done / self.steps if self.steps else 0.0


class StepFile:
    """Writes ``Steps`` into the folder of a trial, once a second at most. A disk that is full costs nothing more."""

    def __init__(self, folder: Path, epochs: Callable[[], int] = lambda: 0) -> None:
        """``epochs``: whole ones so far, for trainings whose records are written at their end."""
        self._path, self._epochs = folder / FILE, epochs
        self._began_s = self._written_s = -EVERY_S
        self.clear()

    def __call__(self, done: int, steps: int, images: int, loss: Callable[[], float] = lambda: math.nan) -> None:
        """Called before each move of the weights; ``done`` is 0 where an epoch begins. ``loss`` is asked for only where
        it is written."""
        now = time.monotonic()
        if done == 0:
            self._began_s = now
        if done and now - self._written_s < EVERY_S:
            return
        self._written_s = now
        new = self._path.with_name(f"{FILE}.{os.getpid()}")
        value = loss() if done else math.nan
        known = Steps(done, steps, images, now - self._began_s, value if math.isfinite(value) else None, self._epochs())
        with suppress(OSError):
            new.write_text(json.dumps(asdict(known)))
            new.replace(self._path)

    def clear(self) -> None:
        """No epoch is under way: the last one is on record."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def read_steps(folder: Path) -> Steps | None:
    """What the trial in ``folder`` wrote last; None before its first epoch began."""
    try:
        data = json.loads((folder / FILE).read_bytes())
        loss = data.get("loss")
        return Steps(
            int(data["done"]),
            int(data["steps"]),
            int(data["images"]),
            float(data["seconds"]),
            None if loss is None else float(loss),
            int(data.get("epochs", 0)),
        )
    except (OSError, *MALFORMED):
        return None
