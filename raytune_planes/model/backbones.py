"""Image encoders: a picture becomes a pyramid of feature maps at strides 2, 4 and 8."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raytune_planes.config import Backbone
from raytune_planes.datasets.loaders import CENTRE, SPREAD
from raytune_planes.errors import UserError

STRIDE = 8
"""Of the coarsest map: an image's sides must divide by it."""

CHANNELS_PER_GROUP = 8

Adapters = nn.ModuleDict
"""Of one dataset: a module for each of a pyramid's ``adapted_channels``, from a map to one of the same shape."""


class Pyramid(nn.Module, ABC):
    """What every backbone is to the rest of the model."""

    channels: tuple[int, int, int]
    """Of the maps at strides 2, 4 and 8."""

    is_pretrained: bool = False
    """Whether its weights are to come from a training on other pictures."""

    @property
    @abstractmethod
    def layers(self) -> list[list[nn.Parameter]]:
        """All parameters but those of projections, from the image to the last map: by what counts as one layer for
        layer-wise learning rates."""

    @abstractmethod
    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """The three maps, finest first, for sides that divide by 8."""

    @property
    def last_stage(self) -> list[str]:
        """The names of the parameters that make the last maps: what each dataset may have a copy of."""
        last = set(self.layers[-1])
        return [name for name, parameter in self.named_parameters() if parameter in last]

    @property
    def adapted_channels(self) -> dict[str, int]:
        """Channels of the maps that adapters change, by names of its own."""
        return {str(i): channels for i, channels in enumerate(self.channels)}

    adapts_held: bool = True
    """Whether adapters change nothing but ``held_maps``, so that these are the same for all datasets."""

    def adapted(self, image_BCHW: Tensor, adapters: Adapters) -> list[Tensor]:
        """``forward``, with adapters at the places that ``adapted_channels`` names."""
        height, width = image_BCHW.shape[-2:]
        return self.of_maps(self.held_maps(image_BCHW, fine=True), height, width, adapters)

    held_prefix: str = ""
    """What the names of ``held`` begin with in ``state_dict``."""

    def held(self) -> dict[str, Tensor]:
        """What decides ``held_maps``, where the encoder is frozen."""
        return dict(self.state_dict())

    @property
    def as_held(self) -> str:
        """What else decides them, but for the picture."""
        return type(self).__name__

    def held_maps(self, image_BCHW: Tensor, *, fine: bool) -> dict[str, Tensor]:
        """What a frozen encoder computes of images that no training changes, by names of its own.

        ``fine``: also what the finer two maps need.
        """
        maps = self(image_BCHW)
        return {str(i): map_BCHW for i, map_BCHW in enumerate(maps) if fine or i + 1 == len(maps)}

    def of_maps(
        self, maps: Mapping[str, Tensor], height: int, width: int, adapters: Adapters | None = None
    ) -> list[Tensor]:
        """``forward``, from ``held_maps`` of images of these sides; the last map alone without the finer ones."""
        return [adapters[name](map_BCHW) if adapters else map_BCHW for name, map_BCHW in maps.items()]

    def take(self, weights: str) -> None:
        """What ``model.backbone.weights`` says: nothing for ``random``. Raises UserError as ``load_weights`` does."""
        if weights != "random":
            self.load_weights(weights)

    @abstractmethod
    def load_weights(self, weights: str) -> None:
        """Take pretrained weights in place of random ones: ``pretrained``, or a file or folder of them.

        Raises:
            UserError: they are unavailable, or are of another network.
        """


class Residual(Pyramid):
    """A small CLIP-style ResNet (Radford et al. 2021): stem of 3x3 convolutions, average pooling before every stride.

    Pooling before subsampling removes the frequencies that would alias (Zhang 2019): a plane keeps its features when it
    moves by a pixel.

    Every normalisation is GroupNorm (Wu & He 2018), whose statistics come from one image alone. BatchNorm's would mix
    datasets: each training batch holds one dataset, so its running averages, used for validation, describe a mixture
    that no batch ever had, and a dataset's validation can collapse to the majority class while its training loss falls.
    """

    def __init__(self, settings: Backbone) -> None:
        super().__init__()
        width = settings.width
        self.channels = (width, 2 * width, 4 * width)
        half = max(8, width // 2)
        self.stem = nn.Sequential(*_unit(3, half), nn.AvgPool2d(2), *_unit(half, width))
        inputs = (width, *self.channels[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(c_in if i == 0 else c_out, c_out) for i in range(settings.depth)))
            for c_in, c_out in zip(inputs, self.channels, strict=True)
        )

    @property
    def layers(self) -> list[list[nn.Parameter]]:
        """The stem and the three stages."""
        return [list(part.parameters()) for part in (self.stem, *self.stages)]

    def load_weights(self, weights: str) -> None:
        raise unusable("residual", weights, "does not exist: none is published")

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        return self._maps(image_BCHW, self.stages)

    adapts_held = False

    def adapted(self, image_BCHW: Tensor, adapters: Adapters) -> list[Tensor]:
        """Each stage reads what the adapter after the one before it made."""
        return self._maps(
            image_BCHW, (nn.Sequential(*pair) for pair in zip(self.stages, adapters.values(), strict=True))
        )

    def _maps(self, image_BCHW: Tensor, stages: Iterable[Callable[[Tensor], Tensor]]) -> list[Tensor]:
        sides = tuple(image_BCHW.shape[-2:])
        assert all(side % STRIDE == 0 for side in sides), f"sides {sides} do not divide by {STRIDE}"
        features = self.stem(image_BCHW.contiguous(memory_format=torch.channels_last))
        return list(itertools.accumulate(stages, lambda maps, stage: stage(maps), initial=features))[1:]


def as_trained(image_BCHW: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """From what all backbones are given, ``loaders.normalise``, to the statistics that a network was trained on.

    Args:
        image_BCHW: Normalised by ``loaders.normalise``.
        mean: Of each channel, for pixels in [0, 1].
        deviation: Likewise, the standard deviation.
    """
    device = image_BCHW.device
    mean_C11, deviation_C11 = (torch.tensor(v).to(device, non_blocking=True)[:, None, None] for v in (mean, deviation))
    return (image_BCHW * SPREAD + CENTRE - mean_C11) / deviation_C11


def unusable(kind: str, weights: str, why: str) -> UserError:
    """The error for weights that are unavailable."""
    return UserError(f"model.backbone.weights = '{weights}' for {kind} {why}; 'random' needs no file")


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016); halves the sides where it changes the channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.shrink = c_in != c_out
        self.first = nn.Sequential(*_unit(c_in, c_out))
        self.second = Convolution(c_out, c_out, 3, padding=1, bias=False)
        # Its weight starts at one, not at zero as for deep networks: from zero, 200 steps taught nothing on PlanesNet.
        self.norm = norm(c_out)
        self.shortcut = Convolution(c_in, c_out, 1, bias=False) if self.shrink else nn.Identity()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if self.shrink:
            x_BCHW = F.avg_pool2d(x_BCHW, 2)
        return F.relu(self.shortcut(x_BCHW) + self.norm(self.second(self.first(x_BCHW))))


def norm(channels: int) -> nn.GroupNorm:
    """GroupNorm over groups of eight channels: enough values per group even on the 3 x 3 grid of a 24-pixel chip."""
    return nn.GroupNorm(groups(channels), channels)


def groups(channels: int) -> int:
    """How many equal groups of at least eight channels there are at most; one where there are fewer channels."""
    most = max(1, channels // CHANNELS_PER_GROUP)
    return next(count for count in range(most, 0, -1) if channels % count == 0)


class Convolution(nn.Conv2d):
    """A convolution whose filters are standardised (Qiao et al. 2019): with GroupNorm it trains as fast as BatchNorm.

    On real chips, 200 steps from scratch reached 93.5 % with it, 90.4 % without, 87.2 % with BatchNorm.
    """

    def forward(self, x_BCHW: Tensor) -> Tensor:
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        variance = self.weight.var((1, 2, 3), keepdim=True, unbiased=False)
        filters = (self.weight - mean) * torch.rsqrt((variance + 1e-8) * self.weight[0].numel())
        return F.conv2d(x_BCHW, filters, self.bias, self.stride, self.padding, self.dilation, self.groups)


def _unit(c_in: int, c_out: int) -> tuple[nn.Module, ...]:
    return Convolution(c_in, c_out, 3, padding=1, bias=False), norm(c_out), nn.ReLU(inplace=True)
