"""The settings and names of oriented detection."""

from __future__ import annotations

from raytune_planes.section import NotNegative
from raytune_planes.tasks.base import Task, TaskSettings

SCENE_METRICS = ("scene_oriented_ap50", "scene_oriented_map")


class OrientedDetection(TaskSettings):
    """Whether a cell of the map at stride 4 is a plane's, and the oriented box of that plane as a Gaussian (KLD, Yang
    et al. 2021), for datasets with boxes. Scored as ``val/<dataset>/oriented_ap50`` and ``oriented_map``: average
    precision by the overlap of oriented boxes. Where labels tell upright boxes alone, these are learnt."""

    weight: NotNegative = 0.0
    """In the total; 0 leaves the term out, its part of the model and its score."""


ORIENTED_DETECTION = Task(
    name="oriented_detection",
    settings=OrientedDetection,
    implementation="raytune_planes.tasks.oriented_detection.implementation:OrientedDetection",
    metrics=("oriented_ap50", "oriented_map", *SCENE_METRICS),
    of_scenes=SCENE_METRICS,
    freeze_as="decoder",
    needs="boxes",
    reads_oriented=True,
    figure="raytune_planes.report.training:course",
    optional=True,
)
