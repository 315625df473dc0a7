"""Why a trial failed, as a message; and whether its process was lost, so that it may be tried again."""

from __future__ import annotations

from typing import Any

import torch

from raytune_planes.datasets.pending import BrokenPictures
from raytune_planes.errors import UserError
from raytune_planes.records import End

NO_MEMORY = "does not fit into memory"
LACK = ("can't allocate memory", "out of memory", "_STATUS_ALLOC_FAILED")
"""What else says so: the allocator of a CPU, the driver of a GPU, and its libraries for products and convolutions."""


class UnusableCard(UserError):
    """A trial holds a card that torch cannot use, as would every trial after it on that host."""


def end_by(error: BaseException) -> dict[str, Any]:
    """``end`` and ``reason`` of a trial in which ``error`` occurred, and ``ends_study`` where the next would do so too.

    Such a trial is interrupted, as its study is: a resumed one tries it again.
    """
    if isinstance(_origin(error), UnusableCard | BrokenPictures):
        return {"end": End.INTERRUPTED.value, "reason": explain(error), "ends_study": True}
    return {"end": End.FAILED.value, "reason": explain(error)}


def explain(error: BaseException) -> str:
    """An error as one line for people; of a group's errors the one that the others most likely follow from."""
    error = _origin(error)
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        return text
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in text for words in LACK):
        return f"{NO_MEMORY}: {text[:300]}"
    return f"{type(error).__name__}: {text[:300]}"


def _origin(error: BaseException) -> BaseException:
    """``error`` itself, or of a group's errors the one that the others most likely follow from."""
    inner = [e for e in getattr(error, "worker_failures", {}).values() if e is not None]
    return min(inner, key=_is_consequence, default=error)


def _is_consequence(error: BaseException) -> bool:
    """Whether a worker failed because it lost touch with another that had failed before."""
    return isinstance(error, RuntimeError) and ("peer" in str(error) or "gloo" in str(error) or "NCCL" in str(error))


def lost_process(error: BaseException) -> Exception | None:
    """The failure that says a process or machine was lost, if that is what ``error`` tells of."""
    from ray.exceptions import NodeDiedError, RayActorError, WorkerCrashedError
    from ray.train import TrainingFailedError

    if not isinstance(error, TrainingFailedError):
        return None
    inner = getattr(error, "worker_failures", {}).values()
    return next((e for e in inner if isinstance(e, (RayActorError, WorkerCrashedError, NodeDiedError))), None)
