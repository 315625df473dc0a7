"""Memory that a process frees is kept for its next step, instead of going back to the system and being cleared anew.

glibc gives each block of more than 128 KiB to 32 MiB its own mapping and unmaps it when it is freed, so that every step
of a training has the system clear the same pages again: EfficientNet-Lite0 on batches of 32 at 128 px touched 78,000 of
them (305 MB) in a step, and 21-44 % of its processor time was the system's.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from functools import cache
from typing import Any

log = logging.getLogger(__name__)

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""Parameters of ``mallopt`` (malloc.h of glibc)."""
LARGEST = 2**30
"""Bytes of a block that still comes from the heap; a larger one is no step's."""
PADDING = 2**27
"""Bytes by which a heap grows: twice what the heap of a thread may have, so that glibc gives none back while it is
empty."""
ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}
"""Environment of a process whose threads train: a heap of a thread's own holds no block of more than 64 MiB."""
CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")
"""Variables of the environment by which a user decides the same."""


@cache
def keep_freed_memory() -> str:
    """Have this process keep what it frees, once; ``give_back`` returns it when a training has ended.

    Returns:
        Why memory stays as it was: the user chose, or the system's C library is another than glibc. Empty where it is
        kept.
    """
    if named := [name for name in CHOSEN if os.environ.get(name)]:
        return f"{named[0]} is set in the environment"
    change = getattr(_library(), "mallopt", None)
    if change is None:
        why = "the C library of this system has no mallopt"
        log.info("freed memory goes back to the system and is cleared for every step: %s", why)
        return why
    values = {TRIM_THRESHOLD: -1, TOP_PAD: PADDING, MMAP_THRESHOLD: LARGEST}  # -1: nothing is cut off the heap's end
    refused = [name for name, value in values.items() if not change(name, value)]
    if refused:
        why = f"the C library of this system refuses mallopt's parameters {', '.join(map(str, refused))}"
        log.info("freed memory goes back to the system and is cleared for every step: %s", why)
        return why
    return ""


def give_back() -> None:
    """Return to the system, and to a GPU, all that this process has freed: other trials may share either."""
    torch: Any = sys.modules.get("torch")  # which a process that trains has
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if (trim := getattr(_library(), "malloc_trim", None)) is not None:
        trim(0)


def _library() -> object:
    """The C library that this process has loaded."""
    return ctypes.CDLL(None)
