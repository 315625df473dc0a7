"""What tasks say of pictures in terms that predictions, reports and ensembles share, whichever task says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

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
    embedding_BW: Tensor | None = None
    """Unit rows in the space of the text encoder."""
    log_temperature: Tensor | None = None
    """Scalar: the logarithm by which similarities of that space are divided."""


class Predicts(Protocol):
    """A task's implementation."""

    def prediction(self, answer: Any) -> Prediction: ...


def predicted(tasks: Mapping[str, Predicts], answers: Mapping[str, Any]) -> Prediction:
    """What ``answers`` (by task) say together. Where two tasks say the same kind of thing, the later one counts."""
    outputs: dict[str, Tensor] = {}
    for name, answer in answers.items():
        if answer is not None:
            own = tasks[name].prediction(answer)
            outputs |= {f.name: value for f in fields(own) if (value := getattr(own, f.name)) is not None}
    return Prediction(**outputs)
