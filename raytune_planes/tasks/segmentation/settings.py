"""The settings and names of segmentation."""

from __future__ import annotations

from raytune_planes.section import Fraction
from raytune_planes.tasks.base import Task, TaskSettings


class Segmentation(TaskSettings):
    """Binary cross-entropy and soft Dice of the decoder's mask, for datasets with masks."""

    dice: Fraction = 0.5
    """Share of Dice in the sum of the two."""


SCENE_METRICS = ("scene_iou", "scene_ap50", "scene_map")
"""Of whole scenes (``scenes.score``): measured every ``budget.scene_epochs`` epochs."""
SCENE_ERRORS = ("count_error", "count_error_share")

SEGMENTATION = Task(
    name="segmentation",
    settings=Segmentation,
    implementation="raytune_planes.tasks.segmentation.implementation:Segmentation",
    metrics=("iou", "dice", *SCENE_METRICS),
    errors=("mask_cross_entropy", *SCENE_ERRORS),
    of_scenes=(*SCENE_METRICS, *SCENE_ERRORS),
    freeze_as="decoder",
    needs="masks",
    figure="raytune_planes.report.training:course",
)
