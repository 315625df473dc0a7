"""Datasets that are trained alone beside a study, and the loss of a training, as views show them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from raytune_planes.tracking.steps import Steps, read_steps


@dataclass(frozen=True)
class Alone:
    """A dataset that is trained alone, for comparison."""

    dataset: str
    folder: Path
    epochs: int
    """In all."""

    @property
    def steps(self) -> Steps | None:
        """How far it is; None before its first step."""
        return read_steps(self.folder)

    @property
    def progress(self) -> str:
        """``2/6 +40%``; ``starts`` before its first step."""
        steps = self.steps
        return f"{steps.epochs}/{self.epochs} +{steps.share:.0%}" if steps else "starts"


def loss_text(steps: Steps | None) -> str:
    """``loss 3.214``: of the training pictures of the epoch so far, where no other figure is known yet."""
    return "" if steps is None or steps.loss is None else f"loss {steps.loss:.4g}"
