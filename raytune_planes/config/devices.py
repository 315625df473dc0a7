"""Where a trial computes."""

from __future__ import annotations

from typing import Literal

from raytune_planes.section import Count, Section


class Devices(Section):
    """Where the two encoders run; ``auto`` takes a GPU when the worker has one."""

    vision: Literal["auto", "cpu", "cuda"] = "auto"
    """Of the image model."""
    text: Literal["auto", "cpu", "cuda"] = "cpu"
    """Of the prompts' encoder. Where it trains with several workers, the same as ``vision``."""
    threads: Count = 1
    """CPU threads of each worker. Sums may round differently with another number."""
