"""What a model says of a whole split: its metrics, and its answer to every picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.eval_batches import eval_batch_from, eval_starts
from raytune_planes.datasets.loaders import Batch
from raytune_planes.datasets.pixels import Pixels
from raytune_planes.records import metric
from raytune_planes.tasks.implementation import Implementation
from raytune_planes.tasks.prediction import predicted
from raytune_planes.tracking.validation import Predictions
from raytune_planes.training.frozen_features import Features
from raytune_planes.training.measures import Measures
from raytune_planes.training.passes import eval_batch
from raytune_planes.training.prefetch import batches
from raytune_planes.training.scene_evaluation import SceneEvaluation
from raytune_planes.training.workers import Worker

Say = Callable[[str, Tensor], Mapping[str, Any]]
"""What each task says of normalised images of a dataset."""
Judge = Callable[[Batch], tuple[dict[str, Any], dict[str, Tensor]]]
"""What each task says of a batch, and the terms of its loss."""


class Evaluation:
    """Goes through a split batch by batch; remembers what the last one said."""

    def __init__(
        self,
        data: Mapping[str, Arrays],
        pixels: Mapping[str, Pixels],
        tasks: Mapping[str, Implementation],
        judge: Judge,
        say: Say,
        measures: Measures,
        worker: Worker,
    ) -> None:
        """``judge`` and ``say`` are called without gradients and must exchange nothing: workers may hold different
        numbers of batches."""
        self._data, self._pixels, self._tasks, self._judge = data, pixels, tasks, judge
        self._measures, self._worker = measures, worker
        self._rows: tuple[str, dict[str, list[Tensor]]] = "", {}
        self.stored: Mapping[str, Features] = {}
        """The features of validation pictures that are kept, by dataset."""
        seen = {name: own.seen for name, own in pixels.items()}
        self._whole = SceneEvaluation(data, lambda name, rows: predicted(tasks, say(name, rows)), worker, seen)

    @torch.no_grad()
    def run(self, split: str, scenes: bool) -> dict[str, float]:
        """Metrics of every dataset on ``split``, named ``<split>/<dataset>/<metric>``. All workers must ask.

        ``scenes``: also those of whole scenes.
        """
        sums = self._measures.sums()
        rows: dict[str, list[Tensor]] = {name: [] for name in self._data}
        order = [(name, start) for name, starts in self._starts(split).items() for start in starts]
        with batches(partial(self._batch, split), order, self._worker.device) as coming:
            for (name, _), batch in zip(order, coming, strict=True):
                outputs, losses = self._judge(batch)
                sums[name].add(batch, outputs, losses, training=False)
                kept = (self._tasks[task].kept(answer) for task, answer in outputs.items() if answer is not None)
                rows[name] += [row_BK for row_BK in kept if row_BK is not None]
        self._rows = split, rows
        metrics = self._measures.collect(split, sums) | self._count_of_scenes(split)
        return metrics | (self._whole.run(split) if scenes else {})

    def _starts(self, split: str) -> dict[str, range]:
        """Of each dataset, where in the split this worker's batches begin."""
        place = self._worker.rank, self._worker.world
        return {
            name: eval_starts(arrays, split, eval_batch(self._pixels[name].side), *place)
            for name, arrays in self._data.items()
        }

    def _batch(self, split: str, name: str, start: int) -> Batch:
        pixels = self._pixels[name]
        batch = eval_batch_from(start, self._data[name], split, eval_batch(pixels.side), pixels)
        if split == "val" and name in self.stored:
            batch = replace(batch, place_B=self.stored[name].validation(start, len(batch)))
        return batch.to(self._worker.device)

    def _count_of_scenes(self, split: str) -> dict[str, float]:
        """How many scenes the pictures of ``split`` come from, of each dataset that has several pictures of one."""
        metrics = {}
        for name, arrays in self._data.items():
            pictures_N = arrays.splits[split]
            scenes = len(np.unique(arrays.groups_N[pictures_N]))
            if 0 < scenes < len(pictures_N):
                metrics[metric(split, name, "scenes")] = float(scenes)
        return metrics

    def predictions(self) -> dict[str, Predictions]:
        """What the last run said of each picture of its split. All workers must ask, and get the same."""
        split, rows = self._rows
        starts, out = self._starts(split), {}
        for name, arrays in self._data.items():
            pictures_N, labels_N = arrays.splits[split], np.asarray(arrays.labels_N)
            all_NK = torch.zeros(len(pictures_N), len(arrays.info.classes), dtype=torch.float64)
            for start, logits_BK in zip(starts[name], rows[name], strict=False):  # none where no task keeps any
                all_NK[start : start + len(logits_BK)] = logits_BK.cpu().double()
            summed_NK = self._worker.sum(all_NK.flatten()).view_as(all_NK)
            out[name] = Predictions(summed_NK.float().numpy(), labels_N[pictures_N], np.asarray(pictures_N))
        return out
