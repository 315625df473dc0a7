"""The model on batches, in the arithmetic of its device: what the tasks say, and the terms of the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from raytune_planes.arithmetic import autocast, precision
from raytune_planes.config import TrialConfig
from raytune_planes.datasets.loaders import Batch
from raytune_planes.network import Network
from raytune_planes.tasks.terms import identity, terms
from raytune_planes.training.teachers import Teachers
from raytune_planes.training.workers import Worker


class Forward:
    """Called on a batch in training, where workers exchange; ``judge`` and ``say`` exchange nothing."""

    def __init__(
        self,
        model: Network,
        teachers: Teachers,
        prompts: Mapping[str, Tensor],
        worker: Worker,
        config: TrialConfig,
    ) -> None:
        self._model, self._teachers, self._worker = model, teachers, worker
        self.prompts = dict(prompts)
        """For each dataset the embeddings of its classes' prompts, [K, W], on the device."""
        self.precision = precision(config.precision, config.devices.exact, worker.device)
        """Of the model, in words."""

    def __call__(self, batch: Batch) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What each task says of a training batch, and the terms that apply, with gradients."""
        with self.arithmetic():
            outputs = self._model(batch.dataset, *batch.seen)
            gather = self._worker.gather if self._worker.world > 1 else identity
            return outputs, self._terms(outputs, batch, gather)

    def judge(self, batch: Batch) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The same of this worker's batch alone."""
        outputs = self.say(batch.dataset, *batch.seen)
        return outputs, self._terms(outputs, batch, identity)

    def say(self, dataset: str, *seen: Tensor | None) -> dict[str, Any]:
        """What each task says of images of ``dataset``; ``seen``: see ``Network.forward``."""
        with self.arithmetic():
            return dict(self._model(dataset, *seen))

    @torch.no_grad()
    def encode_prompts(self) -> None:
        """Take the prompts' embeddings of a text encoder that trains jointly, where there is one."""
        if (text := self._model.text) is not None:
            self.prompts = {name: text(name).to(self._worker.device) for name in self.prompts}

    def arithmetic(self) -> AbstractContextManager[object]:
        return autocast(self._worker.device, self.precision == "bfloat16")

    def _terms(self, outputs: Mapping[str, Any], batch: Batch, gather: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        with self.arithmetic():
            taught = self._teachers.answers(batch)
        return terms(self._model.tasks, outputs, batch, self.prompts[batch.dataset], gather, taught)
