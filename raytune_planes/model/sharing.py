"""What each dataset has of its own in the image encoder: adapters, a copy of the last stage, or a copy of all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from raytune_planes.model.backbones import Pyramid

INNER = 32
"""Most channels inside an adapter, so that it stays small beside maps of up to 2048 channels."""


class Adapter(nn.Module):
    """A residual adapter in series: x + U relu(V x), with 1x1 convolutions V and U (Rebuffi et al. 2017).

    V narrows and U widens (Houlsby et al. 2019). U is zero at first: a fresh adapter changes nothing.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = min(INNER, max(1, channels // 2))
        self.narrow = nn.Conv2d(channels, inner, 1, bias=False)
        self.widen = nn.Conv2d(inner, channels, 1)
        nn.init.zeros_(self.widen.weight)
        nn.init.zeros_(self.widen.bias)  # type: ignore[arg-type]

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW + self.widen(torch.relu(self.narrow(x_BCHW)))


def make_adapters(encoder: Pyramid, datasets: Iterable[str]) -> nn.ModuleDict:
    """For each dataset an adapter for every place of ``encoder.adapted_channels``; parameters ``NAME.PLACE.…``."""
    places = encoder.adapted_channels
    return nn.ModuleDict(
        {name: nn.ModuleDict({place: Adapter(channels) for place, channels in places.items()}) for name in datasets}
    )


class Copies(nn.ModuleDict):
    """Dataset -> parameters of an encoder that are its own, under the names that they had there: ``NAME.stages.2.…``.

    The encoder keeps their places, empty: it runs with the parameters of one dataset at a time.
    """

    def __init__(self, encoder: Pyramid, names: Sequence[str], datasets: Iterable[str]) -> None:
        """Takes the parameters ``names`` out of ``encoder``; all datasets begin with their values."""
        whole = dict(encoder.named_parameters())
        super().__init__({name: _tree({n: whole[n] for n in names}) for name in datasets})
        name_of = {parameter: name for name, parameter in whole.items()}
        self._layers = [[name_of[parameter] for parameter in layer] for layer in encoder.layers]
        for name in names:
            path, _, leaf = name.rpartition(".")
            encoder.get_submodule(path).register_parameter(leaf, None)

    def encode(self, encoder: Pyramid, dataset: str, image_BCHW: Tensor) -> list[Tensor]:
        """``encoder`` of images of ``dataset``, with its own parameters."""
        own: dict[str, Tensor] = dict(self[dataset].named_parameters())
        maps: list[Tensor] = torch.func.functional_call(encoder, own, (image_BCHW,), tie_weights=False)
        return maps

    def layers(self, encoder: Pyramid) -> list[list[nn.Parameter]]:
        """As ``encoder.layers`` before anything was taken out, with the parameters of all datasets in their places."""
        trees = [encoder, *self.values()]
        parameters = [dict(tree.named_parameters()) for tree in trees]
        return [[of[name] for name in layer for of in parameters if name in of] for layer in self._layers]

    def give(self, encoder: Pyramid, whole: Pyramid) -> None:
        """``encoder`` and every dataset begin with the weights of ``whole``, a network like it."""
        weights = whole.state_dict()
        for own in (encoder, *self.values()):
            own.load_state_dict({name: weights[name] for name in own.state_dict()})


def _tree(parameters: dict[str, nn.Parameter]) -> nn.Module:
    """Modules that hold copies of ``parameters`` under these names and do nothing."""
    root = nn.Module()
    for name, parameter in parameters.items():
        *path, leaf = name.split(".")
        at = root
        for step in path:
            if step not in dict(at.named_children()):
                at.add_module(step, nn.Module())
            at = at.get_submodule(step)
        at.register_parameter(leaf, nn.Parameter(parameter.detach().clone()))
    return root
