"""Why a trial failed, as a message; and whether its process was lost, so that it may be tried again."""

from __future__ import annotations

import torch

from raytune_planes.errors import UserError

NO_MEMORY = "does not fit into memory"
LACK = ("can't allocate memory", "out of memory", "_STATUS_ALLOC_FAILED")
"""What else says so: the allocator of a CPU, the driver of a GPU, and its libraries for products and convolutions."""


def explain(error: BaseException) -> str:
    """An error as one line for people; of a group's errors the one that the others most likely follow from."""
    inner = [e for e in getattr(error, "worker_failures", {}).values() if e is not None]
    error = min(inner, key=_is_consequence, default=error)
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        return text
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in text for words in LACK):
        return f"{NO_MEMORY}: {text[:300]}"
    return f"{type(error).__name__}: {text[:300]}"


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
