"""The settings and names of detection."""

from __future__ import annotations

from raytune_planes.section import NotNegative
from raytune_planes.tasks.base import Task, TaskSettings


class Detection(TaskSettings):
    """Whether a cell of the map at stride 4 is a plane's, and the box of that plane (FCOS, Tian et al. 2019), for
    datasets with boxes. Scored as ``val/<dataset>/ap50``: average precision at an overlap of one half."""

    weight: NotNegative = 0.0
    """In the total; 0 leaves the term out, its part of the model and its score."""


DETECTION = Task(
    name="detection",
    settings=Detection,
    implementation="raytune_planes.tasks.detection.implementation:Detection",
    metrics=("ap50",),
    freeze_as="decoder",
    needs="boxes",
    figure="raytune_planes.report.training:course",
    optional=True,
)
