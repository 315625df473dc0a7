"""What a model says of a whole split: its metrics, and its answer to every picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.loaders import Batch, eval_batches
from raytune_planes.datasets.pixels import Pixels
from raytune_planes.model.aircraft import Output
from raytune_planes.tracking.validation import Answers
from raytune_planes.training.measures import Measures
from raytune_planes.training.workers import Worker

EVAL_BATCH = 128
"""Images of an evaluation batch; fixed, because sums of floats depend on how they are cut."""

Judge = Callable[[Batch], tuple[Output, dict[str, Tensor]]]
"""The model's output on a batch, and the terms of its loss."""


class Evaluation:
    """Goes through a split batch by batch; remembers what the last one said."""

    def __init__(
        self, data: Mapping[str, Arrays], pixels: Mapping[str, Pixels], judge: Judge, measures: Measures, worker: Worker
    ) -> None:
        """``judge`` is called without gradients and must exchange nothing: workers may hold different numbers of
        batches."""
        self._data, self._pixels, self._judge = data, pixels, judge
        self._measures, self._worker = measures, worker
        self._said: tuple[str, dict[str, list[Tensor]]] = "", {}

    @torch.no_grad()
    def run(self, split: str) -> dict[str, float]:
        """Metrics of every dataset on ``split``, named ``<split>/<dataset>/<metric>``. All workers must ask."""
        tallies = self._measures.tallies()
        logits: dict[str, list[Tensor]] = {name: [] for name in self._data}
        for name, arrays in self._data.items():
            place = self._worker.rank, self._worker.world
            for batch in eval_batches(arrays, split, EVAL_BATCH, *place, self._pixels[name]):
                batch = batch.to(self._worker.device)
                output, losses = self._judge(batch)
                tallies[name].add(batch.label_B, output.logits_BK, losses)
                logits[name].append(output.logits_BK)
                if batch.mask_BHW is not None and output.mask_logits_BHW is not None:
                    tallies[name].add_mask(batch.mask_BHW, output.mask_logits_BHW)
                if batch.boxes_BM4 is not None and output.cells_B5HW is not None:
                    tallies[name].add_boxes(batch.boxes_BM4, output.cells_B5HW)
        self._said = split, logits
        return self._measures.collect(split, tallies)

    def answers(self) -> dict[str, Answers]:
        """What the last run said of each picture of its split. All workers must ask, and get the same."""
        split, logits = self._said
        out = {}
        for name, arrays in self._data.items():
            pictures_N, labels_N = arrays.splits[split], np.asarray(arrays.labels_N)
            all_NK = torch.zeros(len(pictures_N), len(arrays.info.classes), dtype=torch.float64)
            for i, logits_BK in enumerate(logits[name]):  # as eval_batches hands them out
                start = (self._worker.rank + i * self._worker.world) * EVAL_BATCH
                all_NK[start : start + EVAL_BATCH] = logits_BK.double().cpu()
            summed_NK = self._worker.sum(all_NK.flatten()).view_as(all_NK)
            out[name] = Answers(summed_NK.float().numpy(), labels_N[pictures_N], np.asarray(pictures_N))
        return out
