"""The model: an encoder that the datasets share as much of as the settings say, and a part for each task."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Info
from raytune_planes.model import build_encoder
from raytune_planes.model.dit import Refinement
from raytune_planes.model.sharing import Copies, make_adapters
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
        self._encoder = model.backbone
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
        # After all that is drawn: with the same seed the other parts begin as they do without.
        self.adapters = make_adapters(self.backbone, infos) if model.sharing == "adapters" else None
        self.own: Copies | None = None
        if model.sharing in ("stage", "own"):
            every = [name for name, _ in self.backbone.named_parameters()]
            names = self.backbone.last_stage if model.sharing == "stage" else every
            self.own = Copies(self.backbone, names, infos)
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
        return self.answers(dataset, image_BCHW, self.encoded(dataset, image_BCHW, place_B), hidden_BHW)

    def answers(
        self,
        dataset: str,
        image_BCHW: Tensor,
        pyramid: Sequence[Tensor],
        hidden_BHW: Tensor | None = None,
        only: Collection[str] | None = None,
    ) -> dict[str, Any]:
        """``forward`` from what ``encoded`` made of the images; of the tasks ``only``, if any are named."""
        *skips, grid_BCHW = pyramid
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
            encode=lambda other_BCHW: self.refinement(self._encode(dataset, other_BCHW)[-1], self.datasets[dataset]),
            training=self.training,
        )
        outputs = {
            name: task.forward(self.parts(name), features)
            for name, task in self.tasks.items()
            if task.wants(dataset) and (only is None or name in only)
        }
        measured_only = self.measured_only.get(dataset, ())
        return {name: detached(a) if name in measured_only else a for name, a in outputs.items()}

    def encoded(self, dataset: str, image_BCHW: Tensor, place_B: Tensor | None = None) -> list[Tensor]:
        """The encoder's maps at strides 2, 4 and 8, before the last one is refined; see ``forward``."""
        if place_B is None:
            return self._encode(dataset, image_BCHW)
        maps = {
            name: map_BCHW.to(image_BCHW.device, non_blocking=True)
            for name, map_BCHW in self.stored[dataset](place_B).items()
        }
        height, width = image_BCHW.shape[-2:]
        return self.backbone.of_maps(maps, height, width, self._adapters_of(dataset))

    def _encode(self, dataset: str, image_BCHW: Tensor) -> list[Tensor]:
        if self.own is not None:
            return self.own.encode(self.backbone, dataset, image_BCHW)
        if (adapters := self._adapters_of(dataset)) is not None:
            return self.backbone.adapted(image_BCHW, adapters)
        found: list[Tensor] = self.backbone(image_BCHW)
        return found

    def _adapters_of(self, dataset: str) -> nn.ModuleDict | None:
        if self.adapters is None:
            return None
        adapters = self.adapters[dataset]
        assert isinstance(adapters, nn.ModuleDict)
        return adapters

    def take(self, weights: str) -> None:
        """Give the encoder what ``model.backbone.weights`` says, and all datasets' copies of its parts.

        Raises:
            UserError: as ``Pyramid.load_weights``.
        """
        if self.own is None:
            self.backbone.take(weights)
        elif weights != "random":
            whole = build_encoder(self._encoder)
            whole.take(weights)
            self.own.give(self.backbone, whole)

    @property
    def layers(self) -> list[list[nn.Parameter]]:
        """The parameters of the encoder and of the datasets' copies, by layers; see ``Pyramid.layers``."""
        return self.backbone.layers if self.own is None else self.own.layers(self.backbone)

    def own_parameters(self, dataset: str) -> int:
        """How many numbers of the encoder are of this dataset alone."""
        own = [each[dataset] for each in (self.adapters, self.own) if each is not None]
        return sum(parameter.numel() for each in own for parameter in each.parameters())

    def parts(self, task: str) -> dict[str, Any]:
        """The parts that ``task`` built, by attribute name."""
        return {attribute: getattr(self, attribute) for attribute in self._parts[task]}
