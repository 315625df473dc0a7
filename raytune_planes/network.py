"""The model: one encoder for all datasets, and a part for each task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Info
from raytune_planes.model import build_encoder
from raytune_planes.model.dit import Refinement
from raytune_planes.tasks.implementation import Features, Shape
from raytune_planes.tasks.loading import make_tasks
from raytune_planes.tasks.outputs import detached


class Network(nn.Module):
    """Backbone, pyramid, DiT over the last grid, pooling, projection to the text width, then the tasks' parts.

    Only the parts that the named dataset needs take part in a forward pass: the others get no gradient at all (None),
    so an optimiser leaves them as they are.
    """

    def __init__(
        self, infos: Mapping[str, Info], config: TrialConfig, text_width: int, text: nn.Module | None = None
    ) -> None:
        """``text``: maps a dataset's name to its prompts' rows; None where the text encoder does not train."""
        super().__init__()
        self.text = text
        model = config.model
        self.backbone = build_encoder(model.backbone)
        shape = Shape(self.backbone.channels, text_width)
        self.refinement = Refinement(shape.features, model.dit.depth, model.dit.heads)
        self.datasets = nn.ParameterDict({name: nn.Parameter(torch.randn(shape.features) * 0.02) for name in infos})
        self.norm = nn.LayerNorm(shape.features)
        self.projection = nn.Linear(shape.features, text_width)
        self.tasks = make_tasks(config, infos)
        self._parts: dict[str, tuple[str, ...]] = {}
        for name, task in self.tasks.items():
            built = task.build(shape)
            for attribute, part in built.items():
                assert not hasattr(self, attribute), f"{name} would replace the model's {attribute}"
                setattr(self, attribute, part)
            self._parts[name] = tuple(built)
        self.measured_only: Mapping[str, Sequence[str]] = {}
        """Dataset -> the tasks whose answers train nothing, and so are detached; what that is, training finds out."""
        self.stored: Mapping[str, Callable[[Tensor], Mapping[str, Tensor]]] = {}
        """Dataset -> the maps of a frozen encoder that are kept, by their places."""
        self.to(memory_format=torch.channels_last)

    def forward(
        self, dataset: str, image_BCHW: Tensor, hidden_BHW: Tensor | None = None, place_B: Tensor | None = None
    ) -> dict[str, Any]:
        """What each task says of images of ``dataset``: float32, normalised, sides that divide by 8.

        Args:
            dataset: Its name.
            image_BCHW: The images.
            hidden_BHW: bool, the pixels to be reconstructed, in a second pass of the encoder.
            place_B: Where ``stored`` has the maps of the images, which then are not read.

        Returns:
            By task, of those that the dataset has: see each ``Implementation.forward``.
        """
        *skips, grid_BCHW = self._pyramid(dataset, image_BCHW, place_B)
        grid_BCHW = self.refinement(grid_BCHW, self.datasets[dataset])
        # The maximum keeps small parts that the mean drowns: on twenty real types, 500 steps and three seeds, the two
        # together reached 57-59 %, the mean 50-54 %, CLIP's attention pooling (one seed) 51 %.
        pooled_BC = self.norm(grid_BCHW.mean((2, 3)) + grid_BCHW.amax((2, 3)))
        features = Features(
            dataset=dataset,
            image_BCHW=image_BCHW,
            pyramid=[*skips, grid_BCHW],
            pooled_BC=pooled_BC,
            embedding_BW=F.normalize(self.projection(pooled_BC).float(), dim=1),
            hidden_BHW=hidden_BHW,
            prompts_KW=self.text(dataset) if self.text is not None and self.training else None,
            encode=lambda other_BCHW: self.refinement(self.backbone(other_BCHW)[-1], self.datasets[dataset]),
            training=self.training,
        )
        outputs = {
            name: task.forward(self.parts(name), features) for name, task in self.tasks.items() if task.wants(dataset)
        }
        # Several workers wait for the gradient of every parameter that an output leads to.
        measured_only = self.measured_only.get(dataset, ())
        return {name: detached(a) if name in measured_only else a for name, a in outputs.items()}

    def _pyramid(self, dataset: str, image_BCHW: Tensor, place_B: Tensor | None) -> list[Tensor]:
        if place_B is None:
            found: list[Tensor] = self.backbone(image_BCHW)
            return found
        maps = {name: map_BCHW.to(image_BCHW.device) for name, map_BCHW in self.stored[dataset](place_B).items()}
        return self.backbone.of_maps(maps, *image_BCHW.shape[-2:])

    def parts(self, task: str) -> dict[str, Any]:
        """The parts that ``task`` built, by attribute name."""
        return {attribute: getattr(self, attribute) for attribute in self._parts[task]}
