"""Distillation: how far the answers of all tasks are from those of a specialist that sees the same pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from raytune_planes.tasks.implementation import Case, Features, Implementation


@dataclass(frozen=True)
class Nothing:
    """This task answers nothing itself: its loss is of the other tasks' answers."""


class Distillation(Implementation):
    """It has no part of the model. Specialists see pictures, so features of a frozen encoder are not stored for it."""

    def wants(self, dataset: str) -> bool:
        return super().wants(dataset) and self.config.datasets[dataset].share > 0

    def reads_fine_maps(self, dataset: str) -> bool:
        return False

    def forward(self, parts: Mapping[str, Any], features: Features) -> Nothing:
        return Nothing()

    def loss(self, answer: Nothing, case: Case) -> Tensor:
        """The sum over the tasks that the specialist learnt, of each its own distance times its own weight."""
        total = torch.zeros((), device=case.batch.image_BCHW.device)
        for name, taught in case.taught.items():
            task = case.tasks[name]
            apart = task.distance(case.outputs[name], taught, self.settings.temperature)
            if apart is not None and task.settings.weight:
                total = total + task.settings.weight * apart
        return total
