"""Where the checks run: on a card, or dry, where the CPU plays one."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch

from raytune_planes.training.workers import LocalWorker
from tests.card import Card, on_card

LIMIT_S = 460.0
"""Of all checks together; the rest of eight minutes is for Python's start."""


@dataclass(frozen=True)
class Found:
    """What a check found."""

    held: bool | None
    """None where it was skipped."""
    text: str
    """What was found, or why it was skipped."""
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """A card, or a played one."""

    dry: bool
    began_s: float = field(default_factory=time.monotonic)

    @property
    def device(self) -> str:
        """As processes of their own know it: a played card is known in this one alone."""
        return "cpu" if self.dry else "cuda"

    @property
    def left_s(self) -> float:
        return LIMIT_S - (time.monotonic() - self.began_s)

    def worker(self) -> LocalWorker:
        """The only worker, on the card."""
        return on_card() if self.dry else LocalWorker("cuda")

    def entered(self) -> AbstractContextManager[object]:
        """For all that uses ``worker``."""
        return Card() if self.dry else nullcontext()

    def wait(self) -> None:
        """Until the card has done what it was asked."""
        if not self.dry:
            torch.cuda.synchronize()


class Skipped(Exception):
    """A check cannot run here, and says why."""
