"""The tasks that a model learns from a dataset. Another task is a folder or a file here, and a line in the table."""

from __future__ import annotations

from collections.abc import Mapping

from raytune_planes.plugins import joined
from raytune_planes.tasks.base import Task
from raytune_planes.tasks.classification.settings import CLASSIFICATION
from raytune_planes.tasks.contrastive.settings import CONTRASTIVE
from raytune_planes.tasks.detection.settings import DETECTION
from raytune_planes.tasks.reconstruction.settings import RECONSTRUCTION
from raytune_planes.tasks.segmentation.settings import SEGMENTATION

TASKS: Mapping[str, Task] = joined(
    "tasks",
    {
        "classification": CLASSIFICATION,
        "segmentation": SEGMENTATION,
        "contrastive": CONTRASTIVE,
        "reconstruction": RECONSTRUCTION,
        "detection": DETECTION,
    },
)
"""Name below ``losses`` -> task, plugins last. Parts of the model are drawn, and terms are summed, in this order."""
