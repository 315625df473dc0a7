"""When a dataset has converged, and what then happens to its steps."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from raytune_planes.section import Fraction, NotNegative, Section

FEWEST = 4
"""Validations that a line and the scatter around it can be taken from."""


def share_or_epochs(value: float) -> float:
    """Raises ValueError where ``value`` is neither a share of the budget nor a whole number of epochs."""
    if value >= 1 and value != int(value):
        raise ValueError(
            f"{value:g} is neither a share of the budget (below 1) nor a whole number of epochs (from 1 on)"
        )
    return value


Length = Annotated[float, Field(gt=0), AfterValidator(share_or_epochs)]
"""Below 1 a share of the budget's epochs, from 1 on a number of epochs."""


class Stop(Section):
    """When this dataset has learnt enough (``stopping.rule`` says what then happens)."""

    patience: Length = 0.25
    """Below 1 a share of the budget's epochs, from 1 on a number of epochs. By ``evidence``: over how much of the
    training the gain of its primary validation metric is measured, at least 4 validations. By ``epochs``: how long that
    metric may go without an improvement of more than ``min_delta``."""
    min_delta: NotNegative = 0.005
    """By ``evidence``: the dataset rests only where that costs its primary validation metric less than this until the
    end of the budget. By ``epochs``: what counts as an improvement of it."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.9
    """By ``evidence``: how certain that is, the level of a one-sided limit. 0.5 takes the gain as it is measured,
    without its noise."""
    relative: bool = False
    """Take ``min_delta`` as a share of the metric instead of absolute: by ``evidence`` of its mean over ``patience``,
    by ``epochs`` of its best."""
    target: Fraction | None = None
    """Rest as soon as the primary validation metric reaches this; None for no target."""
    min_epochs: Length = 0.5
    """Before which the dataset may not rest: below 1 a share of the budget's epochs, from 1 on a number of epochs.
    Early on, a dataset that learns slowly looks like one that has converged, and while the learning rate is high a
    curve says little of what a lower one brings."""
    margin: NotNegative = 0.005
    """A resting dataset wakes when its metric falls by more than this share of it, or rises by it with its trickle: it
    rested too early. By ``evidence`` from its mean at rest, and by more than its noise; by ``epochs`` from its best."""

    def waits(self, epochs: int) -> int:
        """``patience`` in epochs of a budget of ``epochs``: at least one."""
        return int(self.patience) if self.patience >= 1 else max(1, round(self.patience * epochs))

    def minimum(self, epochs: int) -> int:
        """``min_epochs`` in epochs of a budget of ``epochs``: at least one."""
        return int(self.min_epochs) if self.min_epochs >= 1 else math.ceil(self.min_epochs * epochs)

    def window(self, epochs: int) -> int:
        """Validations that ``evidence`` takes the line from, in a budget of ``epochs``."""
        return max(FEWEST, 1 + self.waits(epochs))

    def earliest_rest(self, plateau: str, epochs: int) -> int:
        """The first epoch after which the dataset may rest in a budget of ``epochs``, by ``stopping.plateau``."""
        least = self.minimum(epochs)
        if self.target is not None:
            return least
        # The first epoch is always an improvement; a line takes a whole window.
        return max(least, self.window(epochs) if plateau == "evidence" else 1 + self.waits(epochs))

    def is_late(self, plateau: str, epochs: int) -> bool:
        """Whether so few epochs decide too seldom: in none before the last, or later than the shares ask for."""
        rest = self.earliest_rest(plateau, epochs)
        return rest >= epochs or (self.target is None and rest > max(self.minimum(epochs), 1 + self.waits(epochs)))


class Stopping(Section):
    """What happens when a dataset has converged."""

    rule: Literal["none", "stop", "stop_and_go"] = "stop_and_go"
    """``none``: nothing. ``stop``: it rests for good. ``stop_and_go``: it rests, and wakes when it gets worse or
    improves again. Whatever the rule, a dataset below a floor of the study neither rests nor remains resting."""
    plateau: Literal["epochs", "evidence"] = "evidence"
    """What says that a dataset has converged. ``evidence``: the rest of the budget can bring it little, and its steps
    bring the others more, by the slopes of the validation curves and their noise. ``epochs``: a count of epochs without
    an improvement."""
    freed: Literal["given", "saved"] = "given"
    """``given``: its steps go to the datasets still training. ``saved``: the epoch gets shorter."""
    trickle: Annotated[int, Field(ge=0)] = 4
    """Under ``stop_and_go`` a resting dataset keeps one in this many of its steps; 0 for none. Lu et al. 2020 use 4."""
