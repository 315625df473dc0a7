"""A backbone: three convolutions, each over squares of two by two."""

from __future__ import annotations

from torch import Tensor, nn

from raytune_planes.config import Backbone
from raytune_planes.model.backbones import Pyramid, unusable


class Squares(Pyramid):
    """Maps at strides 2, 4 and 8."""

    def __init__(self, settings: Backbone) -> None:
        super().__init__()
        self.channels = (settings.width, 2 * settings.width, 4 * settings.width)
        self.steps = nn.ModuleList(
            nn.Conv2d(c_in, c_out, 2, 2) for c_in, c_out in zip((3, *self.channels), self.channels, strict=False)
        )

    @property
    def layers(self) -> list[list[nn.Parameter]]:
        return [list(step.parameters()) for step in self.steps]

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        maps = [image_BCHW]
        for step in self.steps:
            maps.append(step(maps[-1]).relu())
        return maps[1:]

    def load_weights(self, weights: str) -> None:
        raise unusable("squares", weights, "does not exist: none is published")
