"""What a model says of whole scenes: tiles that overlap, joined, and judged scene by scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from raytune_planes.datasets import oriented
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.crops import Seen
from raytune_planes.datasets.loaders import normalise
from raytune_planes.datasets.whole_scenes import Scenes
from raytune_planes.records import metric
from raytune_planes.scenes.boxes import detected
from raytune_planes.scenes.grid import Grid, planes
from raytune_planes.scenes.oriented import SIZE as ORIENTED_SIZE
from raytune_planes.scenes.oriented import detected_oriented, judged_oriented, oriented_scene_metrics
from raytune_planes.scenes.score import SIZE, drawn, judged, scene_metrics, sure
from raytune_planes.tasks.outputs import joined
from raytune_planes.tasks.prediction import Prediction
from raytune_planes.training.passes import eval_batch
from raytune_planes.training.workers import Worker

FAINT = 0.05
"""Score from which a box counts for average precision, which asks how boxes are ranked: those that people are told of
(``boxes.SURE``) end it at the recall that they reach."""

Predict = Callable[[str, Tensor], Prediction]
"""What a model says of normalised image_BCHW of a dataset, on the device."""


class SceneEvaluation:
    """Goes through the whole scenes of a split, of each dataset that has some. Without gradients."""

    def __init__(
        self, data: Mapping[str, Arrays], predict: Predict, worker: Worker, seen: Mapping[str, Seen] | None = None
    ) -> None:
        """``seen``: what the model sees of the decoded tiles of each dataset; all of them as they are when None."""
        self._data = {name: arrays for name, arrays in data.items() if arrays.scenes is not None}
        self._predict, self._worker, self._seen = predict, worker, seen or {}

    def run(self, split: str) -> dict[str, float]:
        """``<split>/<dataset>/<metric>`` of ``scene_metrics``. All workers must ask; each does some of the scenes."""
        metrics: dict[str, float] = {}
        for name, arrays in self._data.items():
            assert arrays.scenes is not None
            numbers_N = arrays.scenes.splits[split]
            rows_NS = torch.zeros(len(numbers_N), SIZE + ORIENTED_SIZE, dtype=torch.float64)
            for place in range(self._worker.rank, len(numbers_N), self._worker.world):
                rows_NS[place] = self._judge(name, arrays, arrays.scenes, int(numbers_N[place]))
            summed_NS = self._worker.sum(rows_NS.flatten()).view_as(rows_NS)
            found = scene_metrics(summed_NS[:, :SIZE]) | oriented_scene_metrics(summed_NS[:, SIZE:])
            metrics |= {metric(split, name, key): value for key, value in found.items()}
        return metrics

    def _judge(self, name: str, arrays: Arrays, scenes: Scenes, scene: int) -> Tensor:
        width, height = scenes.size(scene)
        step = scenes.step(scene, arrays.info.tile)
        grid = Grid(scenes.image(scene), step, scenes.image_size, width, height)
        prediction = self._predicted(name, grid)
        assert prediction.mask_BHW is not None, "scenes have masks"
        mask_HW = grid.blend(prediction.mask_BHW)
        if prediction.box_logit_BN is not None and prediction.boxes_BN4 is not None:
            boxes = detected(prediction.box_logit_BN, prediction.boxes_BN4, grid, FAINT)
        else:
            boxes = planes(mask_HW, width, height, scenes.image_size)
        truth_M4 = scenes.boxes(scene)
        true_HW = drawn(truth_M4, step, arrays.info.masks_from, grid.height, grid.width)
        upright = judged(boxes, sure(boxes), truth_M4, mask_HW, true_HW)
        turned, turned_M8 = None, scenes.corners(scene)
        if prediction.oriented_logit_BN is not None and prediction.oriented_BN8 is not None:
            turned = detected_oriented(prediction.oriented_logit_BN, prediction.oriented_BN8, grid, FAINT)
        if not turned_M8.shape[1]:  # labels tell upright boxes alone
            turned_M8 = oriented.upright(torch.from_numpy(np.array(truth_M4))).numpy()
        return torch.cat([upright, judged_oriented(turned, turned_M8, width, height)])

    def _predicted(self, name: str, grid: Grid) -> Prediction:
        tiles, seen = list(grid.pixels()), self._seen.get(name, Seen())
        parts, at_once = [], eval_batch(seen.side(grid.image_size))
        for start in range(0, len(tiles), at_once):
            some_NHWC = torch.from_numpy(seen.pixels(np.stack(tiles[start : start + at_once])))
            image_BCHW = some_NHWC.permute(0, 3, 1, 2).to(self._worker.device)
            image_BCHW = image_BCHW.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
            part = self._predict(name, normalise(image_BCHW))
            parts.append(replace(part, embedding_BW=None))
        prediction: Prediction = joined(parts)
        return replace(
            prediction,
            mask_BHW=None if prediction.mask_BHW is None else prediction.mask_BHW.float(),
            box_logit_BN=None if prediction.box_logit_BN is None else prediction.box_logit_BN.float(),
            oriented_logit_BN=None if (own := prediction.oriented_logit_BN) is None else own.float(),
        )
