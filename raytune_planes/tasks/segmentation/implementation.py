"""Segmentation: the decoder's masks, their loss, and counts of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raytune_planes.datasets.loaders import Batch
from raytune_planes.tasks.divergence import of_pixels
from raytune_planes.tasks.implementation import Case, Features, Implementation, Shape, Tally
from raytune_planes.tasks.prediction import Prediction
from raytune_planes.tasks.segmentation.decoder import Decoder
from raytune_planes.tasks.segmentation.loss import segmentation


class Segmentation(Implementation):
    """One decoder for all datasets with masks. It answers with logits [B, H, W] at the image's resolution."""

    reads_pictures = False

    def wants(self, dataset: str) -> bool:
        return self.infos[dataset].has_masks

    def reads_fine_maps(self, dataset: str) -> bool:
        return self.infos[dataset].has_masks

    def build(self, shape: Shape) -> dict[str, nn.Module | nn.Parameter]:
        return {"decoder": Decoder(shape.channels, self.config.model.decoder.width)}

    def forward(self, parts: Mapping[str, Any], features: Features) -> Tensor:
        mask_logits_BHW: Tensor = parts["decoder"](features.pyramid)
        return mask_logits_BHW

    def loss(self, answer: Tensor, case: Case) -> Tensor:
        assert case.batch.mask_BHW is not None, "asked of a dataset without masks"
        return segmentation(answer, case.batch.mask_BHW, self.settings.dice)

    def distance(self, answer: Tensor, taught: Tensor, temperature: float) -> Tensor:
        return of_pixels(answer, taught, temperature)

    def tally(self, dataset: str) -> Tally | None:
        return Pixels()

    def prediction(self, answer: Tensor) -> Prediction:
        return Prediction(mask_BHW=answer.sigmoid())


class Pixels(Tally):
    """Hits, false alarms and misses over all pixels, the sum of images' cross-entropies in nats, and the images."""

    size = 5

    def count(self, counts: Tensor, answer: Tensor, batch: Batch) -> None:
        assert batch.mask_BHW is not None, "asked of a dataset without masks"
        truth, predicted = batch.mask_BHW > 0.5, answer.detach() > 0
        hits = (truth & predicted).sum()
        counts[:3] += torch.stack([hits, predicted.sum() - hits, truth.sum() - hits])
        each_BHW = F.binary_cross_entropy_with_logits(answer.detach().float(), batch.mask_BHW.float(), reduction="none")
        counts[3] += each_BHW.mean((1, 2)).to(counts.dtype).sum()
        counts[4] += len(each_BHW)

    def metrics(self, counts: Tensor, images: float) -> dict[str, float]:
        *pixels, entropy, masks = counts.tolist()
        return mask_metrics(*pixels) | ({"mask_cross_entropy": entropy / masks} if masks else {})


def mask_metrics(hits: float, false_alarms: float, misses: float) -> dict[str, float]:
    """IoU and Dice of the foreground over all pixels of a split; 1 when there is nothing to find and nothing found.

    Args:
        hits: Foreground pixels that were predicted as such.
        false_alarms: Background pixels predicted as foreground.
        misses: Foreground pixels predicted as background.
    """
    union = hits + false_alarms + misses
    return {
        "iou": hits / union if union else 1.0,
        "dice": 2 * hits / (union + hits) if union else 1.0,
    }
