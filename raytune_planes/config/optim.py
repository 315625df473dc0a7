"""The optimiser and its learning rates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from raytune_planes.section import Count, NotNegative, Section


class Optim(Section):
    """The optimiser, its learning rate over the budget, and what happens to gradients and weights."""

    kind: Literal["adamw", "sgd", "lion"] = "adamw"
    """``adamw``: Loshchilov & Hutter 2019. ``sgd``: with Nesterov's momentum; needs about 10 times the rate. ``lion``:
    Chen et al. 2023; needs about a fifth of it."""
    lr: Annotated[float, Field(gt=0, le=1)] = 2e-3
    """Peak learning rate."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of ``sgd``."""
    weight_decay: NotNegative = 0.02
    """Decoupled decay of all weights that are matrices or filters."""
    schedule: Literal["cosine", "constant", "step", "plateau"] = "cosine"
    """After the warm-up: down to zero along a cosine over the budget, flat, ``factor`` times as high after each share
    ``every`` of the budget, or after each plateau."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the budget's steps over which the rate rises. Random networks need it as pretrained ones do: without it
    the default one lost 4.5 points of fine-grained accuracy and 3 of IoU (three seeds, 23,040 samples)."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """What ``step`` and ``plateau`` multiply the rate by."""
    every: Annotated[float, Field(gt=0, le=1)] = 0.34
    """Of ``step``: share of the budget after the warm-up between two steps of the rate."""
    plateau: Literal["dataset", "score"] = "dataset"
    """Of ``plateau``: each dataset's rate follows its own primary validation metric, or all follow the goal's score."""
    patience: Count = 2
    """Of ``plateau``: epochs without a gain before the rate is lowered."""
    clip: NotNegative = 1.0
    """Gradients are scaled down to this norm; 0 for no limit."""
    accumulate: Annotated[int, Field(ge=1, le=1024)] = 1
    """Batches whose gradients are averaged for one move of the weights. They follow each other in the mix, so they may
    be of different datasets. ``budget.steps_per_epoch`` counts batches all the same."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of a moving average of the weights, which is validated and kept in their place; 0 for none."""
    backbone_factor: Annotated[float, Field(gt=0, le=10)] | None = None
    """Learning rate of the backbone relative to the rest; null for 0.1 where it is pretrained, 1 otherwise."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Learning rate of each layer of the backbone relative to the layer above it (Clark et al. 2020); 1 for equal."""
