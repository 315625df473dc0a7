"""The model: one encoder for all datasets, a classifier for each, a mask decoder for those with masks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Info
from raytune_planes.model import BACKBONES, HEADS
from raytune_planes.model.detector import Detector
from raytune_planes.model.dit import Refinement
from raytune_planes.model.painter import Painter, cover
from raytune_planes.model.unet import Decoder

TEMPERATURES = (0.005, 1.0)
"""Bounds of the learnt temperature, those of ``losses.contrastive.temperature``; CLIP bounds it likewise."""


@dataclass
class Output:
    """What the model says of a batch of one dataset."""

    logits_BK: Tensor
    mask_logits_BHW: Tensor | None
    """At the image's resolution; None for datasets without masks."""
    embedding_BW: Tensor
    """Unit rows in the space of the text encoder."""
    log_temperature: Tensor
    """Scalar: the logarithm of the similarity's temperature."""
    margin: float = 0.0
    """What the loss takes off the true class's logit; 0 outside of training."""
    prompts_KW: Tensor | None = None
    """Unit rows of the dataset's classes, in training with a text encoder that trains along; else None."""
    painted_BCHW: Tensor | None = None
    """Images, normalised, whose hidden pixels are told from the others; None where none are hidden."""
    covered_BCHW: Tensor | None = None
    """What they were told from."""
    cells_B5HW: Tensor | None = None
    """What cells at stride 4 say of planes (``Detector``); None for datasets without boxes, and at weight 0."""


class Aircraft(nn.Module):
    """Backbone, pyramid, DiT over the last grid, pooling, projection to the text width, heads and decoder.

    Only the named dataset's own parts take part in a forward pass: the others get no gradient at all (None), so an
    optimiser leaves them as they are.
    """

    def __init__(
        self, infos: Mapping[str, Info], config: TrialConfig, text_width: int, text: nn.Module | None = None
    ) -> None:
        """``text``: maps a dataset's name to its prompts' rows; None where the text encoder does not train."""
        super().__init__()
        self.text = text
        model = config.model
        self.backbone = BACKBONES[model.backbone.kind](model.backbone)
        features = self.backbone.channels[-1]
        self.refinement = Refinement(features, model.dit.depth, model.dit.heads)
        self.datasets = nn.ParameterDict({name: nn.Parameter(torch.randn(features) * 0.02) for name in infos})
        self.norm = nn.LayerNorm(features)
        self.projection = nn.Linear(features, text_width)
        settings = {name: config.datasets[name].head for name in infos}
        self.heads = nn.ModuleDict(
            {
                name: HEADS[settings[name].kind](features, len(info.classes), settings[name])
                for name, info in infos.items()
            }
        )
        self.with_masks = frozenset(name for name, info in infos.items() if info.has_masks)
        self.decoder = Decoder(self.backbone.channels, model.decoder.width) if self.with_masks else None
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.losses.contrastive.temperature)))
        # Last, so that all other weights are drawn as without it.
        self.painter = Painter(features) if config.losses.reconstruction.weight else None
        asked = config.losses.detection.weight > 0
        self.with_boxes = frozenset(name for name, info in infos.items() if asked and info.has_boxes)
        self.detector = Detector(self.backbone.channels, model.decoder.width) if self.with_boxes else None
        self.measured_only: Mapping[str, Sequence[str]] = {}
        """Dataset -> the outputs that train nothing, and so are detached; what that is, training finds out."""
        self.to(memory_format=torch.channels_last)

    def forward(self, dataset: str, image_BCHW: Tensor, hidden_BHW: Tensor | None = None) -> Output:
        """What the model says of images of ``dataset``: float32, normalised, sides that divide by 8.

        ``hidden_BHW``: bool, the pixels to be told from the others, in a second pass.
        """
        *skips, grid_BCHW = self.backbone(image_BCHW)
        grid_BCHW = self.refinement(grid_BCHW, self.datasets[dataset])
        pyramid = [*skips, grid_BCHW]
        # The maximum keeps small parts that the mean drowns: on twenty real types, 500 steps and three seeds, the two
        # together reached 57-59 %, the mean 50-54 %, CLIP's attention pooling (one seed) 51 %.
        pooled_BC = self.norm(grid_BCHW.mean((2, 3)) + grid_BCHW.amax((2, 3)))
        head: Any = self.heads[dataset]  # torch types what a module holds as tensors
        with torch.no_grad():  # in place, as CLIP does: a clamp in the graph would stop the gradient at the bound
            self.log_temperature.clamp_(*map(math.log, TEMPERATURES))
        output = Output(
            logits_BK=head(pooled_BC, grid_BCHW),
            mask_logits_BHW=self._masks(dataset, pyramid),
            embedding_BW=F.normalize(self.projection(pooled_BC).float(), dim=1),
            log_temperature=self.log_temperature,
            margin=head.margin if self.training else 0.0,
            prompts_KW=self.text(dataset) if self.text is not None and self.training else None,
        )
        if self.painter is not None and hidden_BHW is not None:
            output.covered_BCHW = cover(image_BCHW, hidden_BHW)
            seen_BCHW = self.refinement(self.backbone(output.covered_BCHW)[-1], self.datasets[dataset])
            output.painted_BCHW = self.painter(seen_BCHW, output.covered_BCHW)
        if self.detector is not None and dataset in self.with_boxes:
            output.cells_B5HW = self.detector(pyramid)
        # Several workers wait for the gradient of every parameter that an output leads to.
        for field in self.measured_only.get(dataset, ()):
            value = getattr(output, field)
            setattr(output, field, None if value is None else value.detach())
        return output

    def _masks(self, dataset: str, pyramid: list[Tensor]) -> Tensor | None:
        return self.decoder(pyramid) if self.decoder is not None and dataset in self.with_masks else None
