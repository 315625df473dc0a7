"""Oriented detection: the detector's cells, their loss, and the counts of average precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from raytune_planes.datasets.boxes import corners
from raytune_planes.datasets.loaders import Batch
from raytune_planes.tasks.detection.detector import Detector
from raytune_planes.tasks.detection.implementation import Detection
from raytune_planes.tasks.implementation import Case, Features, Shape, Tally
from raytune_planes.tasks.oriented_detection.average_precision import SIZE, counted, oriented_metrics
from raytune_planes.tasks.oriented_detection.detector import CELLS, detections
from raytune_planes.tasks.oriented_detection.loss import oriented_detection
from raytune_planes.tasks.prediction import Prediction


class OrientedDetection(Detection):
    """One oriented detector for all datasets with boxes. Its answer is cells_B6HW at stride 4 (``detector.CELLS``)."""

    def build(self, shape: Shape) -> dict[str, nn.Module | nn.Parameter]:
        return {"oriented_detector": Detector(shape.channels, self.config.model.decoder.width, CELLS)}

    def forward(self, parts: Mapping[str, Any], features: Features) -> Tensor:
        cells_B6HW: Tensor = parts["oriented_detector"](features.pyramid)
        return cells_B6HW

    def loss(self, answer: Tensor, case: Case) -> Tensor:
        assert case.batch.boxes_BM4 is not None, "asked of a dataset without boxes"
        return oriented_detection(answer, corners(case.batch.boxes_BM4), case.gather)

    def tally(self, dataset: str) -> Tally:
        return OrientedBoxes()

    def prediction(self, answer: Tensor) -> Prediction:
        logit_BN, corners_BN8 = detections(answer)
        return Prediction(oriented_logit_BN=logit_BN, oriented_BN8=corners_BN8)


class OrientedBoxes(Tally):
    """Right and wrong boxes by score. Training batches are not counted: matching boxes costs as much as a step."""

    size = SIZE
    in_training = False

    def count(self, counts: Tensor, answer: Tensor, batch: Batch) -> None:
        assert batch.boxes_BM4 is not None, "asked of a dataset without boxes"
        counts += counted(*detections(answer.detach()), corners(batch.boxes_BM4))

    def metrics(self, counts: Tensor, images: float) -> dict[str, float]:
        return oriented_metrics(counts)
