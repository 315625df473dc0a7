"""What tasks say of pictures in terms that predictions, reports and ensembles share, whichever task says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """Of B pictures of one dataset; None for what no task of the dataset says."""

    probability_BK: Tensor | None = None
    """Of the dataset's classes."""
    mask_BHW: Tensor | None = None
    """Probability of an object in each pixel."""
    box_logit_BN: Tensor | None = None
    """The surest box first; minus infinity is none."""
    boxes_BN4: Tensor | None = None
    """Left, top, right, bottom in shares of the picture."""
    oriented_logit_BN: Tensor | None = None
    """Likewise of oriented boxes."""
    oriented_BN8: Tensor | None = None
    """Their corners (x1, y1, ..., x4, y4) in shares of the picture."""
    embedding_BW: Tensor | None = None
    """Unit rows in the space of the text encoder."""
    log_temperature: Tensor | None = None
    """Scalar: the logarithm by which similarities of that space are divided."""


class Predicts(Protocol):
    """A task's implementation."""

    def prediction(self, answer: Any) -> Prediction: ...


def predicted(tasks: Mapping[str, Predicts], outputs: Mapping[str, Any]) -> Prediction:
    """The ``outputs`` (by task) as one prediction. Where two tasks predict the same field, the later one counts."""
    tensors: dict[str, Tensor] = {}
    for name, output in outputs.items():
        if output is not None:
            own = tasks[name].prediction(output)
            tensors |= {f.name: value for f in fields(own) if (value := getattr(own, f.name)) is not None}
    return Prediction(**tensors)
