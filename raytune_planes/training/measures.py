"""What a run counts of each dataset, and the metrics that it gives over all workers."""

from __future__ import annotations

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

    def collect(self, split: str, sums: Mapping[str, Sums]) -> dict[str, float]:
        """The metrics ``<split>/<dataset>/<name>`` of all workers' batches; ``loss`` is the weighted sum of the terms.

        Adds up the workers' parts: all of them must call it.
        """
        out: dict[str, float] = {}
        for name, own in sums.items():
            result = own.result(self._worker.sum(own.vector), training=split == "train")
            out |= {metric(split, name, key): value for key, value in result.items()}
            if result:
                terms = self._tasks[name]
                out[metric(split, name, "loss")] = sum(
                    self._weights[f"{name}/{t}"] * result[f"{t}_loss"] for t in terms
                )
        return out
