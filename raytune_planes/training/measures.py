"""What a run counts of each dataset, and the metrics that it gives over all workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from raytune_planes.datasets.base import Info
from raytune_planes.records import TERMS, metric
from raytune_planes.training.metrics import Tally
from raytune_planes.training.workers import Worker


class Measures:
    """Names the metrics of every dataset; knows which terms a dataset has, and their weights."""

    def __init__(self, infos: Mapping[str, Info], weights: Mapping[str, float], worker: Worker) -> None:
        """``weights``: of each term in the total, by ``<dataset>/<term>``."""
        self._infos, self._weights, self._worker = infos, weights, worker

    def tallies(self) -> dict[str, Tally]:
        """A fresh one for each dataset."""
        boxed = {name for name in self._infos if f"{name}/detection" in self._weights}
        device = self._worker.device
        return {name: Tally(info, TERMS, device, name in boxed) for name, info in self._infos.items()}

    def collect(self, split: str, tallies: Mapping[str, Tally]) -> dict[str, float]:
        """The metrics ``<split>/<dataset>/<name>`` of all workers' batches; ``loss`` is the weighted sum of the terms.

        Adds up the workers' parts: all of them must call it.
        """
        out: dict[str, float] = {}
        for name, tally in tallies.items():
            result = tally.result(self._worker.sum(tally.vector))
            weighted = [self._weights[f"{name}/{t}"] * result[f"{t}_loss"] for t in self._terms_of(name) if result]
            out |= {metric(split, name, key): value for key, value in self._applicable(name, result)}
            if weighted:
                out[metric(split, name, "loss")] = sum(weighted)
        return out

    def _terms_of(self, name: str) -> list[str]:
        return [term for term in TERMS if f"{name}/{term}" in self._weights]

    def _applicable(self, name: str, result: Mapping[str, float]) -> Iterator[tuple[str, float]]:
        absent = {f"{term}_loss" for term in TERMS} - {f"{term}_loss" for term in self._terms_of(name)}
        return ((key, value) for key, value in result.items() if key not in absent)
