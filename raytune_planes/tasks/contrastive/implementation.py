"""The contrast between images and prompts: embeddings, a learnt temperature, and their loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from raytune_planes.tasks.contrastive.loss import contrastive
from raytune_planes.tasks.implementation import Case, Features, Implementation, Shape
from raytune_planes.tasks.prediction import Prediction

TEMPERATURES = (0.005, 1.0)
"""Bounds of the learnt temperature, those of ``losses.contrastive.temperature``; CLIP bounds it likewise."""


@dataclass(frozen=True)
class Similarity:
    """What similarities of images and prompts are made of."""

    embedding_BW: Tensor
    """Unit rows in the space of the text encoder."""
    log_temperature: Tensor
    """Scalar: the logarithm of the similarity's temperature."""
    prompts_KW: Tensor | None = None
    """Unit rows of the dataset's classes, in training with a text encoder that trains jointly; else None."""


class Contrastive(Implementation):
    """The projection to the text encoder's space is the shared encoder's; the temperature is the task's own."""

    reads_pictures = False

    def reads_fine_maps(self, dataset: str) -> bool:
        return False

    def build(self, shape: Shape) -> dict[str, nn.Module | nn.Parameter]:
        return {"log_temperature": nn.Parameter(torch.tensor(math.log(self.settings.temperature)))}

    def forward(self, parts: Mapping[str, Any], features: Features) -> Similarity:
        log_temperature: Tensor = parts["log_temperature"]
        with torch.no_grad():  # in place, as CLIP does: a clamp in the graph would stop the gradient at the bound
            log_temperature.clamp_(*map(math.log, TEMPERATURES))
        return Similarity(features.embedding_BW, log_temperature, features.prompts_KW)

    def prediction(self, answer: Similarity) -> Prediction:
        return Prediction(embedding_BW=answer.embedding_BW, log_temperature=answer.log_temperature)

    def loss(self, answer: Similarity, case: Case) -> Tensor:
        prompts_KW = case.prompts_KW if answer.prompts_KW is None else answer.prompts_KW
        return contrastive(
            case.gather(answer.embedding_BW),
            case.gather(case.target),
            prompts_KW.to(answer.embedding_BW),
            answer.log_temperature,
        )
