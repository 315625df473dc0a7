"""Sums that are collected on the device without waiting for it, and the metrics they give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from raytune_planes.arithmetic import sums_dtype
from raytune_planes.datasets.loaders import Batch
from raytune_planes.tasks.implementation import Implementation


class Sums:
    """One dataset's images, losses and tasks' counts over some batches.

    All of them live in one vector (``arithmetic.sums_dtype``), so that a single exchange adds up the workers' parts.
    """

    def __init__(self, dataset: str, tasks: Mapping[str, Implementation], device: torch.device) -> None:
        """``tasks``: those that the dataset wants."""
        self._terms = tuple(tasks)
        self._tallies = {name: tally for name, task in tasks.items() if (tally := task.tally(dataset)) is not None}
        self._sizes = [1, len(tasks), *(tally.size for tally in self._tallies.values())]
        self.vector = torch.zeros(sum(self._sizes), dtype=sums_dtype(device), device=device)
        """The sums so far, to be added up over workers."""
        self._images, self._losses, *counts = self.vector.split(self._sizes)
        self._counts = dict(zip(self._tallies, counts, strict=True))

    def add(self, batch: Batch, outputs: Mapping[str, Any], terms: Mapping[str, Tensor], *, training: bool) -> None:
        """Count a batch's predictions and add its mean losses, weighted by its images."""
        images = len(batch)
        self._images += images
        for i, term in enumerate(self._terms):
            if term in terms:
                self._losses[i] += terms[term].detach().to(self._losses.dtype) * images
        for name, tally in self._tallies.items():
            if outputs.get(name) is not None and (tally.in_training or not training):
                tally.count(self._counts[name], outputs[name], batch)

    def result(self, summed: Tensor, *, training: bool) -> dict[str, float]:
        """The metrics that ``summed`` (this vector, or the sum of several workers') stands for."""
        (images,), losses, *counts = (part.cpu().double() for part in summed.split(self._sizes))
        total = float(images)
        if not total:
            return {}
        out: dict[str, float] = {}
        for (_, tally), part in zip(self._tallies.items(), counts, strict=True):
            if tally.in_training or not training:
                out |= tally.metrics(part, total)
        out |= {f"{term}_loss": loss / total for term, loss in zip(self._terms, losses.tolist(), strict=True)}
        return out | {"images": total}
