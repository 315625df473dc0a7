"""When a dataset has converged, and what then happens to its steps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from raytune_planes.section import Count, Fraction, NotNegative, Section


class Stop(Section):
    """When this dataset has learnt enough (``stopping.rule`` says what then happens)."""

    patience: Count = 3
    """Epochs without an improvement of more than ``min_delta`` before the dataset rests."""
    min_delta: NotNegative = 0.002
    """What counts as an improvement of its primary validation metric."""
    relative: bool = False
    """Take ``min_delta`` as a share of the best value so far instead of absolute."""
    target: Fraction | None = None
    """Rest as soon as the primary validation metric reaches this; None for no target."""
    min_epochs: Count = 4
    """Epochs before the dataset may rest: early on, a dataset that learns slowly looks like one that has converged."""
    margin: NotNegative = 0.02
    """A resting dataset wakes when its metric falls below best x (1 - margin), or when its trickle raises it by this
    share: it rested too early. Lu et al. 2020 use 0.005, which is less than the noise of a validation split of 2,000
    images: it wakes datasets by chance."""


class Stopping(Section):
    """What happens when a dataset has converged."""

    rule: Literal["none", "stop", "stop_and_go"] = "stop_and_go"
    """``none``: nothing. ``stop``: it rests for good. ``stop_and_go``: it rests, and wakes when it gets worse or
    improves again. Whatever the rule, a dataset below a floor of the study neither rests nor remains resting."""
    freed: Literal["given", "saved"] = "given"
    """``given``: its steps go to the datasets still training. ``saved``: the epoch gets shorter."""
    trickle: Annotated[int, Field(ge=0)] = 4
    """Under ``stop_and_go`` a resting dataset keeps one in this many of its steps; 0 for none. Lu et al. 2020 use 4."""
