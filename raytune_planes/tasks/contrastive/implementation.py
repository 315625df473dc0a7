"""The contrast between images and prompts: embeddings, a learnt temperature, and their loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Info
from raytune_planes.tasks.base import Task
from raytune_planes.tasks.contrastive.loss import contrastive, first_equal_row
from raytune_planes.tasks.implementation import Case, Features, Implementation, Shape
from raytune_planes.tasks.prediction import Prediction
from raytune_planes.tasks.terms import identity

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

    def __init__(self, task: Task, config: TrialConfig, infos: Mapping[str, Info]) -> None:
        super().__init__(task, config, infos)
        self._firsts: dict[str, tuple[Tensor, Tensor]] = {}

    def reads_fine_maps(self, dataset: str) -> bool:
        return False

    def build(self, shape: Shape) -> dict[str, nn.Module | nn.Parameter]:
        return {"log_temperature": nn.Parameter(torch.tensor(math.log(self.settings.temperature)))}

    def forward(self, parts: Mapping[str, Any], features: Features) -> Similarity:
        log_temperature: Tensor = parts["log_temperature"]
        lowest, highest = map(math.log, TEMPERATURES)
        if features.training:
            with torch.no_grad():  # in place, as CLIP does: a clamp in the graph would stop the gradient at the bound
                log_temperature.clamp_(lowest, highest)
        else:  # whoever only looks changes no weight: an export could not
            log_temperature = log_temperature.clamp(lowest, highest)
        return Similarity(features.embedding_BW, log_temperature, features.prompts_KW)

    def prediction(self, answer: Similarity) -> Prediction:
        return Prediction(embedding_BW=answer.embedding_BW, log_temperature=answer.log_temperature)

    def loss(self, answer: Similarity, case: Case) -> Tensor:
        if answer.prompts_KW is None:
            prompts_KW, first_K = case.prompts_KW, self._first(case.batch.dataset, case.prompts_KW)
        else:
            prompts_KW, first_K = answer.prompts_KW, None
        return contrastive(
            *_gathered(answer.embedding_BW, case.target, case.gather),
            prompts_KW.to(answer.embedding_BW),
            answer.log_temperature,
            first_K,
        )

    def _first(self, dataset: str, prompts_KW: Tensor) -> Tensor:
        """``first_equal_row`` of prompts that stay as they are: once."""
        known = self._firsts.get(dataset)
        if known is None or known[0] is not prompts_KW:
            known = self._firsts[dataset] = prompts_KW, first_equal_row(prompts_KW)
        return known[1]


def _gathered(embedding_BW: Tensor, target: Tensor, gather: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Both of all workers in one exchange: float32 holds every label."""
    if gather is identity:
        return embedding_BW, target
    columns = target[:, None] if target.ndim == 1 else target
    joint = gather(torch.cat([embedding_BW, columns.to(embedding_BW)], dim=1))
    embedding, columns = joint.split([embedding_BW.shape[1], columns.shape[1]], dim=1)
    return embedding, columns[:, 0].to(target) if target.ndim == 1 else columns
