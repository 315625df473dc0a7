"""Classification: a classifier for each dataset, its cross-entropy, and the counts of its confusions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raytune_planes.config import Head, TrialConfig
from raytune_planes.datasets.base import Info
from raytune_planes.datasets.loaders import Batch
from raytune_planes.tasks.base import Task
from raytune_planes.tasks.classification.heads import Attention, Cosine, Mlp, linear
from raytune_planes.tasks.classification.hierarchy import groups, hierarchy
from raytune_planes.tasks.classification.loss import classification
from raytune_planes.tasks.divergence import of_classes
from raytune_planes.tasks.implementation import Case, Features, Implementation, Shape, Tally
from raytune_planes.tasks.prediction import Prediction

HEADS: Mapping[str, Callable[[int, int, Head], nn.Module]] = {
    "linear": linear,
    "mlp": Mlp,
    "attention": Attention,
    "cosine": Cosine,
}
"""``datasets.<name>.head.kind`` -> builder of (features, classes, settings).

A head maps the pooled features [B, C] and the grid [B, C, H, W] to logits [B, K], and has a ``margin``."""


@dataclass(frozen=True)
class Logits:
    """A logit for each class."""

    logits_BK: Tensor
    margin: float = 0.0
    """What the loss takes off the true class's logit; 0 outside of training."""


class Classification(Implementation):
    """Only the named dataset's own head takes part: the others get no gradient at all."""

    reads_pictures = False

    def __init__(self, task: Task, config: TrialConfig, infos: Mapping[str, Info]) -> None:
        super().__init__(task, config, infos)
        self._levels: dict[tuple[str, torch.device], tuple[Tensor, ...]] = {}

    def reads_fine_maps(self, dataset: str) -> bool:
        return False

    def build(self, shape: Shape) -> dict[str, nn.Module | nn.Parameter]:
        heads = {}
        for name, info in self.infos.items():
            settings = self.config.datasets[name].head
            heads[name] = HEADS[settings.kind](shape.features, len(info.classes), settings)
        return {"heads": nn.ModuleDict(heads)}

    def forward(self, parts: Mapping[str, Any], features: Features) -> Logits:
        head = parts["heads"][features.dataset]
        logits_BK = head(features.pooled_BC, features.pyramid[-1])
        return Logits(logits_BK, head.margin if features.training else 0.0)

    def loss(self, answer: Logits, case: Case) -> Tensor:
        loss = classification(answer.logits_BK, case.target, self.settings.label_smoothing, answer.margin)
        weight = self.settings.hierarchy
        levels = self._parents(case.batch.dataset, answer.logits_BK.device) if weight else ()
        if not levels:
            return loss
        return (loss + weight * hierarchy(answer.logits_BK, case.target, levels)) / (1 + weight)

    def distance(self, answer: Logits, taught: Logits, temperature: float) -> Tensor:
        return of_classes(answer.logits_BK, taught.logits_BK, temperature)

    def _parents(self, dataset: str, device: torch.device) -> tuple[Tensor, ...]:
        if (dataset, device) not in self._levels:  # once: they never change
            self._levels[dataset, device] = groups(self.infos[dataset].parents, device)
        return self._levels[dataset, device]

    def tally(self, dataset: str) -> Tally:
        return Confusions(self.infos[dataset])

    def prediction(self, answer: Logits) -> Prediction:
        return Prediction(probability_BK=answer.logits_BK.softmax(1))

    def kept(self, answer: Logits) -> Tensor:
        return answer.logits_BK


class Confusions(Tally):
    """A confusion matrix, the pictures whose class is among the likeliest ones, and the cross-entropy in nats.

    Unlike the loss, the cross-entropy depends on no smoothing, margin or hierarchy: it compares over all trainings.
    """

    def __init__(self, info: Info) -> None:
        self._info, self._classes = info, len(info.classes)
        self.size = self._classes**2 + 2

    def count(self, counts: Tensor, answer: Logits, batch: Batch) -> None:
        logits_BK, label_B = answer.logits_BK.detach(), batch.label_B
        cells_B = label_B * self._classes + logits_BK.argmax(1)
        counts[:-2].index_add_(0, cells_B, torch.ones_like(cells_B, dtype=counts.dtype))  # bincount waits for a GPU
        counts[-1] += F.cross_entropy(logits_BK.float(), label_B, reduction="none").to(counts.dtype).sum()
        if self._info.top_k:
            best = logits_BK.topk(min(self._info.top_k, self._classes), dim=1).indices
            counts[-2] += (best == label_B[:, None]).any(1).sum()

    def metrics(self, counts: Tensor, images: float) -> dict[str, float]:
        out = classification_metrics(counts[:-2].view(self._classes, self._classes), self._info)
        if self._info.top_k:
            out[f"top{self._info.top_k}"] = counts[-2].item() / images
        return out | {"cross_entropy": counts[-1].item() / images}


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
