"""The settings and names of reconstruction."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from raytune_planes.section import NotNegative
from raytune_planes.tasks.base import Task, TaskSettings


class Reconstruction(TaskSettings):
    """What hidden patches of an image show, told from the rest (SimMIM, Xie et al. 2022). It needs no label, so every
    dataset has it. Each image then passes the backbone twice."""

    weight: NotNegative = 0.0
    """In the total; 0 leaves the term out, and its part of the model."""
    mask: Annotated[float, Field(gt=0, lt=1)] = 0.6
    """Share of an image's patches that is hidden."""
    patch: Annotated[int, Field(ge=2, le=128)] = 8
    """Side of a patch in pixels, as the model sees them; the paper's 32 of 224 are 8 of 64."""


RECONSTRUCTION = Task(
    name="reconstruction",
    settings=Reconstruction,
    implementation="raytune_planes.tasks.reconstruction.implementation:Reconstruction",
    freeze_as="decoder",
    optional=True,
)
