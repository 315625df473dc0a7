"""Brightness: a linear head on the pooled features, a squared error, and two metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from raytune_planes.datasets.loaders import Batch
from raytune_planes.tasks.implementation import Case, Features, Implementation, Shape, Tally


class Brightness(Implementation):
    """It answers with the mean of the normalised pixels, [B]."""

    def build(self, shape: Shape) -> dict[str, nn.Module | nn.Parameter]:
        return {"meter": nn.Linear(shape.features, 1)}

    def forward(self, parts: Mapping[str, Any], features: Features) -> Tensor:
        level_B: Tensor = parts["meter"](features.pooled_BC)[:, 0]
        return level_B

    def loss(self, answer: Tensor, case: Case) -> Tensor:
        return (answer - level(case.batch)).square().mean()  # 0 for every picture costs 1: pixels are normalised

    def tally(self, dataset: str) -> Tally:
        return Errors(self.settings.within)


class Errors(Tally):
    """Predictions that are near enough, and the sum of absolute errors."""

    size = 2

    def __init__(self, within: float) -> None:
        self.within = within

    def count(self, counts: Tensor, answer: Tensor, batch: Batch) -> None:
        error_B = (answer.detach().float() - level(batch)).abs().double()
        counts += torch.stack([(error_B < self.within).sum().double(), error_B.sum()])

    def metrics(self, counts: Tensor, images: float) -> dict[str, float]:
        near, errors = counts.tolist()
        return {"brightness_within": near / images, "brightness_error": errors / images}


def level(batch: Batch) -> Tensor:
    return batch.image_BCHW.float().mean((1, 2, 3))
