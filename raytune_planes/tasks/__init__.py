"""The tasks that a model learns from a dataset. Another task is a folder or a file here, and a line in the table."""

from __future__ import annotations

from typing import Any

from raytune_planes.plugins import Joined, joined
from raytune_planes.tasks.base import Task


def _problem(name: str, row: Any) -> str:
    if not isinstance(row, Task):
        return f"{row!r} is no raytune_planes.tasks.base.Task"
    if row.name != name:
        return f"its task is called '{row.name}'; entry point and task must have the same name"
    row.settings()  # raises where a setting has no default
    return ""


TASKS: Joined[Task] = joined(
    "tasks",
    {
        "classification": "raytune_planes.tasks.classification.settings:CLASSIFICATION",
        "segmentation": "raytune_planes.tasks.segmentation.settings:SEGMENTATION",
        "contrastive": "raytune_planes.tasks.contrastive.settings:CONTRASTIVE",
        "reconstruction": "raytune_planes.tasks.reconstruction.settings:RECONSTRUCTION",
        "detection": "raytune_planes.tasks.detection.settings:DETECTION",
        "oriented_detection": "raytune_planes.tasks.oriented_detection.settings:ORIENTED_DETECTION",
        "distillation": "raytune_planes.tasks.distillation.settings:DISTILLATION",
    },
    _problem,
)
"""Name below ``losses`` -> task, plugins last. Parts of the model are drawn, and terms are summed, in this order."""


def of_scenes() -> tuple[str, ...]:
    """Metrics that whole scenes give, evaluated when ``budget.scene_epochs`` says, or a goal asks."""
    return tuple(name for task in TASKS.values() for name in task.of_scenes)
