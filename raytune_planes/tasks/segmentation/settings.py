"""The settings and names of segmentation."""

from __future__ import annotations

from raytune_planes.section import Fraction
from raytune_planes.tasks.base import Task, TaskSettings


class Segmentation(TaskSettings):
    """Binary cross-entropy and soft Dice of the decoder's mask, for datasets with masks."""

    dice: Fraction = 0.5
    """Share of Dice in the sum of the two."""


SEGMENTATION = Task(
    name="segmentation",
    settings=Segmentation,
    implementation="raytune_planes.tasks.segmentation.implementation:Segmentation",
    metrics=("iou", "dice"),
    errors=("mask_cross_entropy",),
    freeze_as="decoder",
)
