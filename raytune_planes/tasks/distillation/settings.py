"""The settings and names of distillation."""

from __future__ import annotations

from raytune_planes.section import NotNegative, Positive
from raytune_planes.tasks.base import Task, TaskSettings


class Distillation(TaskSettings):
    """What a specialist of each dataset answers, as a second target beside the labels (multi-task self-training,
    Ghiasi et al. 2021; BAM, Clark et al. 2019). The specialist is the checkpoint ``datasets.<name>.teacher``; in a
    study, the dataset trained alone. Classes and masks are distilled, detection and the contrast with prompts are not.
    Each step then passes the specialist once, without a gradient."""

    weight: NotNegative = 0.0
    """In the total; 0 leaves the term out, and no specialist is read. At 1 the specialists' answers count as much as
    the labels: of each task the term has as much as ``losses.<task>.weight`` says."""
    temperature: Positive = 2.0
    """Divides the logits of specialist and model (Hinton et al. 2015); the term is multiplied by its square."""


DISTILLATION = Task(
    name="distillation",
    settings=Distillation,
    implementation="raytune_planes.tasks.distillation.implementation:Distillation",
    freeze_as="heads",
    optional=True,
    taught=True,
)
