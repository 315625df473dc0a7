"""Detection: the detector's cells, their loss, and the counts of average precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from raytune_planes.datasets.loaders import Batch
from raytune_planes.datasets.outlines import UPRIGHT
from raytune_planes.tasks.detection.average_precision import SIZE, counted, detection_metrics
from raytune_planes.tasks.detection.detector import Detector, detections
from raytune_planes.tasks.detection.loss import detection
from raytune_planes.tasks.implementation import Case, Features, Implementation, Shape, Tally
from raytune_planes.tasks.prediction import Prediction


class Detection(Implementation):
    """One detector for all datasets with boxes. It answers with cells_B5HW at stride 4 (``Detector``)."""

    reads_pictures = False

    def wants(self, dataset: str) -> bool:
        return super().wants(dataset) and self.infos[dataset].has_boxes

    def reads_fine_maps(self, dataset: str) -> bool:
        return self.infos[dataset].has_boxes

    def targets(self) -> dict[str, Any]:
        return {"boxes": True}

    def build(self, shape: Shape) -> dict[str, nn.Module | nn.Parameter]:
        return {"detector": Detector(shape.channels, self.config.model.decoder.width)}

    def forward(self, parts: Mapping[str, Any], features: Features) -> Tensor:
        cells_B5HW: Tensor = parts["detector"](features.pyramid)
        return cells_B5HW

    def loss(self, answer: Tensor, case: Case) -> Tensor:
        assert case.batch.boxes_BM4 is not None, "asked of a dataset without boxes"
        return detection(answer, case.batch.boxes_BM4[..., :UPRIGHT], case.gather)

    def tally(self, dataset: str) -> Tally:
        return Boxes()

    def prediction(self, answer: Tensor) -> Prediction:
        logit_BN, boxes_BN4 = detections(answer)
        return Prediction(box_logit_BN=logit_BN, boxes_BN4=boxes_BN4)


class Boxes(Tally):
    """Right and wrong boxes by score. Training batches are not counted: matching boxes costs as much as a step."""

    size = SIZE
    in_training = False

    def count(self, counts: Tensor, answer: Tensor, batch: Batch) -> None:
        assert batch.boxes_BM4 is not None, "asked of a dataset without boxes"
        counts += counted(*detections(answer.detach()), batch.boxes_BM4[..., :UPRIGHT])

    def metrics(self, counts: Tensor, images: float) -> dict[str, float]:
        return detection_metrics(counts)
