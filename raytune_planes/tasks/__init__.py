"""The tasks that a model learns from a dataset. Another task is a folder or a file here, and a line in the table."""

from __future__ import annotations

from typing import Any

from raytune_planes.plugins import Joined, joined
from raytune_planes.tasks.base import Task
from raytune_planes.tasks.classification.settings import CLASSIFICATION
from raytune_planes.tasks.contrastive.settings import CONTRASTIVE
from raytune_planes.tasks.detection.settings import DETECTION
from raytune_planes.tasks.reconstruction.settings import RECONSTRUCTION
from raytune_planes.tasks.segmentation.settings import SEGMENTATION


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
        "classification": CLASSIFICATION,
        "segmentation": SEGMENTATION,
        "contrastive": CONTRASTIVE,
        "reconstruction": RECONSTRUCTION,
        "detection": DETECTION,
    },
    _problem,
)
"""Name below ``losses`` -> task, plugins last. Parts of the model are drawn, and terms are summed, in this order."""
