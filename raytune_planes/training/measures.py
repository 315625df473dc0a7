"""What a run counts of each dataset, and the metrics that it gives over all workers."""

from __future__ import annotations

import math
from collections.abc import Mapping

from raytune_planes.config import TrialConfig
from raytune_planes.records import metric
from raytune_planes.tasks.implementation import Implementation
from raytune_planes.training.tally import Sums
from raytune_planes.training.workers import Worker


def tasks_by_dataset(tasks: Mapping[str, Implementation], config: TrialConfig) -> dict[str, dict[str, Implementation]]:
    """Of each enabled dataset the ``tasks`` that apply to it, by the names of their terms."""
    return {name: {term: task for term, task in tasks.items() if task.wants(name)} for name in config.active}


def term_weights(tasks: Mapping[str, Mapping[str, Implementation]], config: TrialConfig) -> dict[str, float]:
    """The weight of each term in the total, by ``<dataset>/<task>``: the dataset's times the task's."""
    return {
        f"{name}/{term}": dataset.weight * task.settings.weight
        for name, dataset in config.active.items()
        for term, task in tasks[name].items()
    }


class Measures:
    """Names the metrics of every dataset; knows which tasks a dataset has, and their weights."""

    def __init__(
        self, tasks: Mapping[str, Mapping[str, Implementation]], weights: Mapping[str, float], worker: Worker
    ) -> None:
        """``tasks``: those of each dataset. ``weights``: of each term in the total, by ``<dataset>/<task>``."""
        self._tasks, self._weights, self._worker = tasks, weights, worker

    def sums(self) -> dict[str, Sums]:
        """Fresh ones for each dataset."""
        return {name: Sums(name, tasks, self._worker.device) for name, tasks in self._tasks.items()}

    def loss(self, sums: Mapping[str, Sums]) -> float:
        """The mean over datasets of ``loss`` as below, of this worker's images alone; nan before the first."""
        results = {name: each.result(each.vector, training=True) for name, each in sums.items()}
        losses = [self._loss(name, result) for name, result in results.items() if result]
        return sum(losses) / len(losses) if losses else math.nan

    def collect(self, split: str, sums: Mapping[str, Sums]) -> dict[str, float]:
        """The metrics ``<split>/<dataset>/<name>`` of all workers' batches; ``loss`` is the weighted sum of the terms.

        Adds up the workers' parts: all of them must call it.
        """
        out: dict[str, float] = {}
        for name, own in sums.items():
            result = own.result(self._worker.sum(own.vector), training=split == "train")
            out |= {metric(split, name, key): value for key, value in result.items()}
            if result:
                out[metric(split, name, "loss")] = self._loss(name, result)
        return out

    def _loss(self, name: str, result: Mapping[str, float]) -> float:
        return sum(self._weights[f"{name}/{term}"] * result[f"{term}_loss"] for term in self._tasks[name])
