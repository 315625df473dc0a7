"""What the rest of the package knows of a task before any model is built: its settings, its metrics, its names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from raytune_planes.section import NotNegative, Section


class TaskSettings(Section):
    """What ``losses.<task>`` holds; a task adds settings of its own below the weight."""

    weight: NotNegative = 1.0
    """In the total; 0 leaves the term out."""


@dataclass(frozen=True)
class Task:
    """One thing that the model learns. This part imports no torch; ``implementation`` names the part that does."""

    name: str
    """Names the settings ``losses.<name>``, the term of the loss and the metric ``<name>_loss``."""
    settings: type[TaskSettings]
    implementation: str
    """``module:Class``, a subclass of ``tasks.implementation.Implementation``; imported when a model is built."""
    metrics: tuple[str, ...] = ()
    """Its metrics in [0, 1] that are better when larger, the primary one first."""
    errors: tuple[str, ...] = ()
    """Its metrics that are better when smaller, beside the loss itself."""
    of_scenes: tuple[str, ...] = ()
    """Of both, those that are measured on whole scenes."""
    freeze_as: str = ""
    """The name under which ``freeze`` holds its part of the model; empty for the task's own name."""
    figure: str = ""
    """``module:function``, (``TrialRecord``, this task) -> ``report.figure.Figure``, for every report on a trial that
    measured the task; empty for none."""
    optional: bool = False
    """Whether the model has this part only where the weight is above 0. Other tasks are measured at weight 0 too."""
    needs: Literal["", "masks", "boxes"] = ""
    """What a dataset must have for the task to be trained and measured on it; empty where every dataset is fit."""
    reads_oriented: bool = False
    """Whether it learns oriented boxes where labels tell them, and upright ones elsewhere."""
    taught: bool = False
    """Whether its loss needs the answers of a specialist of each dataset (``datasets.<name>.teacher``)."""

    @property
    def frozen_name(self) -> str:
        return self.freeze_as or self.name

    @property
    def weight(self) -> str:
        """The dotted path of its weight."""
        return f"losses.{self.name}.weight"

    @property
    def measures(self) -> tuple[str, ...]:
        """The names of everything that is measured for it."""
        return (*self.metrics, *self.errors, f"{self.name}_loss")
