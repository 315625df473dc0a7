"""Grey pictures, a task that reads their brightness, a backbone, and a tracker that writes lines."""

from __future__ import annotations

from raytune_planes.catalog import Entry
from raytune_planes.encoders import Encoder
from raytune_planes.section import Fraction
from raytune_planes.tasks.base import Task, TaskSettings

DATASET = Entry("shades.reading:Shades", "shades", {"image_size": 16}, "accuracy")
BACKBONE = Encoder("shades.seeing:Squares", takes_weights=True)


class Brightness(TaskSettings):
    """The mean of a picture's pixels."""

    within: Fraction = 0.25
    """How near an answer must be to count, in standard deviations of the pixels."""


TASK = Task(
    name="brightness",
    settings=Brightness,
    implementation="shades.learning:Brightness",
    metrics=("brightness_within",),
    errors=("brightness_error",),
)
