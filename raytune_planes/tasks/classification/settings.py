"""The settings and names of classification."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from raytune_planes.section import NotNegative
from raytune_planes.tasks.base import Task, TaskSettings


class Classification(TaskSettings):
    """Cross-entropy of the dataset's head."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability mass spread over the wrong classes."""
    hierarchy: NotNegative = 0.0
    """Weight of the parents' cross-entropies (family, manufacturer) beside the classes' own, whose weight is 1; of both
    together a weighted mean. For datasets whose classes have parents; 0 for none."""


CLASSIFICATION = Task(
    name="classification",
    settings=Classification,
    implementation="raytune_planes.tasks.classification.implementation:Classification",
    metrics=("accuracy", "class_accuracy", "f1", "top5", "family_accuracy", "manufacturer_accuracy"),
    errors=("cross_entropy",),
    freeze_as="heads",
)
