"""Brightness: a picture's mean pixel, by a head, a loss, a metric and a figure of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raytune_planes.section import Fraction
from raytune_planes.tasks.base import Task, TaskSettings
from raytune_planes.tasks.implementation import Case, Features, Implementation, Shape, Tally

if TYPE_CHECKING:
    from torch import Tensor, nn

    from raytune_planes.datasets.loaders import Batch
    from raytune_planes.records import TrialRecord
    from raytune_planes.report.figure import Figure


class Settings(TaskSettings):
    """The mean of a picture's pixels."""

    within: Fraction = 0.5
    """How near an answer must be to count, in standard deviations of the pixels."""


TASK = Task(
    name="brightness",
    settings=Settings,
    implementation="raytune_planes.tasks.brightness:Brightness",
    metrics=("brightness_within",),
    figure="raytune_planes.tasks.brightness:figure",
)


class Brightness(Implementation):
    """It answers with the mean of the normalised pixels, [B]."""

    def build(self, shape: Shape) -> dict[str, nn.Module | nn.Parameter]:
        from torch import nn

        return {"meter": nn.Linear(shape.features, 1)}

    def forward(self, parts: Mapping[str, Any], features: Features) -> Tensor:
        level_B: Tensor = parts["meter"](features.pooled_BC)[:, 0]
        return level_B

    def loss(self, answer: Tensor, case: Case) -> Tensor:
        return (answer - level(case.batch)).square().mean()  # 0 for every picture costs 1: pixels are normalised

    def tally(self, dataset: str) -> Tally:
        return Near(self.settings.within)


class Near(Tally):
    """Counts the answers that are near enough."""

    size = 1

    def __init__(self, within: float) -> None:
        self.within = within

    def count(self, counts: Tensor, answer: Tensor, batch: Batch) -> None:
        counts += ((answer.detach().float() - level(batch)).abs() < self.within).sum().double()

    def metrics(self, counts: Tensor, images: float) -> dict[str, float]:
        return {"brightness_within": counts.item() / images}


@dataclass(frozen=True)
class Share:
    """Of the pictures whose brightness was told well enough, by dataset, after the last epoch."""

    of: Mapping[str, float]

    def draw(self) -> Any:
        from raytune_planes.report.drawing.style import canvas

        drawn, axes = canvas()
        axes.bar(list(self.of), list(self.of.values()))
        return drawn


def figure(trial: TrialRecord, task: Task) -> Figure:
    from raytune_planes.report.figure import Figure

    last = trial.epochs[-1].metrics
    shares = {k.split("/")[1]: v for k, v in last.items() if k.startswith("val/") and k.endswith(task.metrics[0])}
    return Figure("brightness", "Brightness told well enough", "After the last epoch.", Share(shares))


def level(batch: Batch) -> Tensor:
    return batch.image_BCHW.float().mean((1, 2, 3))
