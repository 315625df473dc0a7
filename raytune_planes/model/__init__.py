"""The network's interchangeable parts by name; ``aircraft`` composes them, ``text`` encodes the prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from raytune_planes.config import Backbone
from raytune_planes.model.backbones import Pyramid, Residual


def _torchvision(settings: Backbone) -> Pyramid:
    from raytune_planes.model.torchvision_backbones import build

    return build(settings)


def _transformers(settings: Backbone) -> Pyramid:
    from raytune_planes.model.transformers_backbones import build

    return build(settings)


BACKBONES: Mapping[str, Callable[[Backbone], Pyramid]] = {
    "residual": Residual,
    "resnet18": _torchvision,
    "resnet50": _torchvision,
    "resnet101": _torchvision,
    "resnext50": _torchvision,
    "densenet121": _torchvision,
    "mobilenet_v2": _torchvision,
    "efficientnet_b1": _torchvision,
    "convnext_tiny": _torchvision,
    "swin_t": _torchvision,
    "vit_b_16": _torchvision,
    "clip": _transformers,
    "dinov2": _transformers,
}
"""``model.backbone.kind`` -> builder, with random weights; the libraries of the others are imported when asked for."""
