"""Which parameters move, how fast relative to each other, and what with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from raytune_planes import config
from raytune_planes.network import Network
from raytune_planes.training.optimizers import OPTIMIZERS, Group, Optimizer

PRETRAINED_FACTOR = 0.1
"""Learning rate of a pretrained backbone relative to the rest, unless set: what it knows is lost at high rates."""


def make_optimizer(
    model: Network,
    extra: Iterable[nn.Parameter],
    settings: config.Optim,
    factors: Mapping[str, float] | None = None,
) -> Optimizer:
    """Biases, norms and ``extra`` (balancing's own parameters) are not decayed.

    ``factors``: by the beginning of parameters' names, their learning rate relative to ``settings.lr``.
    """
    in_backbone = layer_factors(model, settings)
    factor_of = {
        parameter: in_backbone.get(
            parameter, next((factor for start, factor in (factors or {}).items() if name.startswith(start)), 1.0)
        )
        for name, parameter in model.named_parameters()
    }
    groups: list[Group] = []
    for factor in dict.fromkeys([1.0, *factor_of.values()]):
        own = [p for p, f in factor_of.items() if f == factor]
        groups.append(([p for p in own if p.ndim >= 2], settings.weight_decay, factor))
        groups.append(([*(p for p in own if p.ndim < 2), *(extra if factor == 1 else ())], 0.0, factor))
    return OPTIMIZERS[settings.kind](groups, settings)


def layer_factors(model: Network, settings: config.Optim) -> dict[nn.Parameter, float]:
    """The learning rate of each parameter of the backbone, relative to the rest of the model.

    Layer i of n, counted from the image, gets backbone_factor x layer_decay^(n - i): the first layers of a pretrained
    network hold what all pictures share and move least (Clark et al. 2020; Bao et al. 2022).
    """
    layers, factor = model.layers, settings.backbone_factor
    if factor is None:
        factor = PRETRAINED_FACTOR if model.backbone.is_pretrained else 1.0
    return {
        parameter: factor * settings.layer_decay ** (len(layers) - i)
        for i, layer in enumerate(layers)
        for parameter in layer
    }


def set_rate(optimizer: Optimizer, value: float) -> None:
    """``value`` is the rate of the parameters whose factor is 1."""
    for group in optimizer.param_groups:
        group["lr"] = value * group["factor"]
