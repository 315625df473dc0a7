"""The weights of the terms of the loss: each task's own, and the rule that changes them during training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model

from raytune_planes.section import Positive, Section
from raytune_planes.tasks import TASKS

if TYPE_CHECKING:

    class Losses(Section):
        """A section for each task, by its name."""

        def __getattr__(self, name: str) -> Any: ...

else:
    Losses = create_model(
        "Losses",
        __base__=Section,
        __module__=__name__,
        __doc__="Terms are divided by their values at chance before these weights apply: 1 means the same to all.",
        **{name: (task.settings, task.settings()) for name, task in TASKS.items()},
    )


class Balancing(Section):
    """How the terms are weighed against each other during training, on top of their own weights."""

    rule: Literal["fixed", "uncertainty", "dwa", "famo"] = "fixed"
    """``fixed``: by their weights alone (Kurin et al. 2022, Xin et al. 2022 find that tuned weights suffice).
    ``uncertainty``: Kendall et al. 2018. ``dwa``: Liu et al. 2019. ``famo``: Liu et al. 2023."""
    dwa_temperature: Positive = 2.0
    """Softness of DWA's weights."""
    famo_lr: Positive = 0.025
    """Learning rate of FAMO's task logits."""
    surgery: Literal["none", "pcgrad", "cagrad"] = "none"
    """What becomes of gradients of different datasets that conflict within one move of the weights, which needs
    ``optim.accumulate`` of 2 or more: ``pcgrad`` projects each (Yu et al. 2020), ``cagrad`` bends their mean towards
    the worst off (Liu et al. 2021). Not with ``famo``, which takes one batch for each move. Holds a copy of the
    gradients for each dataset of a move."""
    cagrad_c: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """How far CAGrad may leave the mean gradient, relative to its norm; 0 for the mean itself."""
