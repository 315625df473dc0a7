"""Sums that are collected on the device without waiting for it, and the metrics they give."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from raytune_planes.datasets.base import Info
from raytune_planes.model.detector import detections
from raytune_planes.training.detections import SIZE, counted, detection_metrics


class Tally:
    """Counts of one dataset over some batches: a confusion matrix, top-k hits, mask pixels, loss sums, boxes.

    All counts live in one float64 vector, so that a single exchange adds up the workers' parts.
    """

    def __init__(self, info: Info, terms: tuple[str, ...], device: torch.device, boxes: bool = False) -> None:
        """``boxes``: leave room for the counts of ``add_boxes``."""
        self._info, self._terms = info, terms
        self._classes = len(info.classes)
        size = self._classes**2
        self.vector = torch.zeros(size + 5 + len(terms) + boxes * SIZE, dtype=torch.float64, device=device)
        """The sums so far, to be added up over workers. The five below are views of it."""
        self._confusion, self._top = self.vector[:size], self.vector[size : size + 1]
        self._pixels, self._rest = self.vector[size + 1 : size + 4], self.vector[size + 4 : size + 5 + len(terms)]
        self._boxes = self.vector[size + 5 + len(terms) :]

    def add(self, label_B: Tensor, logits_BK: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Count a batch's predictions and add its mean losses, weighted by its images."""
        images = label_B.shape[0]
        logits_BK = logits_BK.detach()
        predicted_B = logits_BK.argmax(1)
        cells = torch.bincount(label_B * self._classes + predicted_B, minlength=self._classes**2)
        self._confusion += cells
        if self._info.top_k:
            best = logits_BK.topk(min(self._info.top_k, self._classes), dim=1).indices
            self._top += (best == label_B[:, None]).any(1).sum()
        self._rest[0] += images
        for i, term in enumerate(self._terms):
            if term in terms:
                self._rest[1 + i] += terms[term].detach().double() * images

    def add_mask(self, truth_BHW: Tensor, logits_BHW: Tensor) -> None:
        """Count the pixels of a batch's masks: hits, false alarms, misses."""
        truth, guess = truth_BHW > 0.5, logits_BHW.detach() > 0
        hits = (truth & guess).sum()
        self._pixels += torch.stack([hits, guess.sum() - hits, truth.sum() - hits])

    def add_boxes(self, truth_BM4: Tensor, cells_B5HW: Tensor) -> None:
        """Count the planes that a batch's boxes find, and those that they do not."""
        self._boxes += counted(*detections(cells_B5HW.detach()), truth_BM4)

    def result(self, summed: Tensor) -> dict[str, float]:
        """The metrics that ``summed`` (this tally's vector, or the sum of several workers') stands for."""
        size = self._classes**2
        parts = summed.cpu().split([size, 1, 3, 1, len(self._terms), len(self._boxes)])
        matrix, top, boxes = parts[0], parts[1], parts[5]
        pixels, (images,), losses = (part.tolist() for part in parts[2:5])
        if not images:
            return {}
        out = classification_metrics(matrix.view(self._classes, self._classes), self._info)
        if self._info.top_k:
            out[f"top{self._info.top_k}"] = top.item() / images
        if self._info.has_masks:
            out |= mask_metrics(*pixels)
        if len(boxes):
            out |= detection_metrics(boxes)
        out |= {f"{term}_loss": total / images for term, total in zip(self._terms, losses, strict=True)}
        return out | {"images": images}


def classification_metrics(confusion_KK: Tensor, info: Info) -> dict[str, float]:
    """Accuracy, the mean of the classes' accuracies (the official figure of FGVC-Aircraft), F1, and parents' accuracy.

    Rows of the matrix are true classes. With two classes F1 is that of the second, else the mean over classes.
    Classes without an image count in neither mean.
    """
    hits, true, guessed = confusion_KK.diag(), confusion_KK.sum(1), confusion_KK.sum(0)
    present = true > 0
    f1 = 2 * hits / (true + guessed).clamp(min=1)
    out = {
        "accuracy": float(hits.sum() / true.sum()),
        "class_accuracy": float((hits[present] / true[present]).mean()),
        "f1": float(f1[1] if len(f1) == 2 else f1[present].mean()),
    }
    for parent, of_class in info.parents.items():
        index = torch.tensor(of_class)
        same = index[:, None] == index[None, :]
        out[f"{parent}_accuracy"] = float(confusion_KK[same].sum() / true.sum())
    return out


def mask_metrics(hits: float, false_alarms: float, misses: float) -> dict[str, float]:
    """IoU and Dice of the foreground over all pixels of a split; 1 when there is nothing to find and nothing found."""
    union = hits + false_alarms + misses
    return {
        "iou": hits / union if union else 1.0,
        "dice": 2 * hits / (union + hits) if union else 1.0,
    }
