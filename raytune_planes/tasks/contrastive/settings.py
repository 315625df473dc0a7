"""The settings and names of the contrast between images and prompts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from raytune_planes.section import NotNegative
from raytune_planes.tasks.base import Task, TaskSettings


class Contrastive(TaskSettings):
    """Multi-positive image-text contrast between image embeddings and class prompts."""

    weight: NotNegative = 0.3
    """In the total; 0 leaves the term out."""
    temperature: Annotated[float, Field(ge=0.005, le=1)] = 0.07
    """Starting temperature of the similarity; it is learnt."""


CONTRASTIVE = Task(
    name="contrastive",
    settings=Contrastive,
    implementation="raytune_planes.tasks.contrastive.implementation:Contrastive",
    freeze_as="projection",
)
