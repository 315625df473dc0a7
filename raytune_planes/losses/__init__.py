"""The terms of the loss by name, each divided by its value at chance: 1 is guessing, 0 is perfect, for every term."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from raytune_planes.config import Losses, TrialConfig
from raytune_planes.losses.classification import classification
from raytune_planes.losses.contrastive import contrastive
from raytune_planes.losses.detection import detection
from raytune_planes.losses.hierarchy import hierarchy
from raytune_planes.losses.reconstruction import reconstruction
from raytune_planes.losses.segmentation import segmentation

if TYPE_CHECKING:
    from raytune_planes.datasets.base import Info
    from raytune_planes.datasets.loaders import Batch
    from raytune_planes.model.aircraft import Output


def identity(tensor: Tensor) -> Tensor:
    """The gathered batch of a single worker."""
    return tensor


@dataclass(frozen=True)
class Case:
    """What a term is computed from: the model's output on a batch, and the batch's own prompts."""

    output: Output
    batch: Batch
    prompts_KW: Tensor
    """Unit rows, one per class of the batch's dataset."""
    config: TrialConfig
    gather: Callable[[Tensor], Tensor]
    """All workers' rows, in rank order, differentiable: its backward pass sums over the workers."""
    levels: Sequence[Tensor]
    """The tree above the dataset's classes, of ``hierarchy.groups``; empty where it has none."""

    @property
    def target(self) -> Tensor:
        """label_B, or target_BK where images are blended."""
        return self.batch.target(self.output.logits_BK.shape[1])


def _classification(case: Case) -> Tensor:
    settings, logits_BK, target = case.config.losses.classification, case.output.logits_BK, case.target
    loss = classification(logits_BK, target, settings.label_smoothing, case.output.margin)
    if not settings.hierarchy or not case.levels:
        return loss
    return (loss + settings.hierarchy * hierarchy(logits_BK, target, case.levels)) / (1 + settings.hierarchy)


TERMS: Mapping[str, Callable[[Case], Tensor | None]] = {
    "classification": _classification,
    "segmentation": lambda c: (
        segmentation(c.output.mask_logits_BHW, c.batch.mask_BHW, c.config.losses.segmentation.dice)
        if c.output.mask_logits_BHW is not None and c.batch.mask_BHW is not None
        else None
    ),
    "contrastive": lambda c: contrastive(
        c.gather(c.output.embedding_BW),
        c.gather(c.target),
        c.prompts_KW,
        c.output.log_temperature,
    ),
    "reconstruction": lambda c: (
        reconstruction(c.output.painted_BCHW, c.batch.image_BCHW, c.output.covered_BCHW, c.batch.hidden_BHW, c.gather)
        if c.output.painted_BCHW is not None and c.output.covered_BCHW is not None and c.batch.hidden_BHW is not None
        else None
    ),
    "detection": lambda c: (
        detection(c.output.cells_B5HW, c.batch.boxes_BM4, c.gather)
        if c.output.cells_B5HW is not None and c.batch.boxes_BM4 is not None
        else None
    ),
}
"""Name below ``losses`` -> the term of a case, or None where it does not apply."""


def applicable(info: Info, losses: Losses) -> tuple[str, ...]:
    """The terms that a dataset has: by what its pictures come with, and by what the settings ask the model to say."""
    has = {
        "segmentation": info.has_masks,
        "reconstruction": losses.reconstruction.weight > 0,
        "detection": info.has_boxes and losses.detection.weight > 0,
    }
    return tuple(term for term in TERMS if has.get(term, True))


def terms(
    output: Output,
    batch: Batch,
    prompts_KW: Tensor,
    config: TrialConfig,
    gather: Callable[[Tensor], Tensor] = identity,
    levels: Sequence[Tensor] = (),
) -> dict[str, Tensor]:
    """The scalar terms that apply to ``batch``, unweighted, each divided by its chance value, in float32.

    With several workers: the mean of each term over equal slices of a batch is the term of the whole batch, in value
    and, when ``gather`` is differentiable with summed gradients (``torch.distributed.nn.functional.all_gather``), in
    the gradient that data-parallel training averages.
    """
    with torch.autocast(output.logits_BK.device.type, enabled=False):
        case = Case(output, batch, prompts_KW.to(output.embedding_BW), config, gather, levels)
        found = {name: term(case) for name, term in TERMS.items()}
    return {name: term for name, term in found.items() if term is not None}
