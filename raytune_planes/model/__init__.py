"""The network's interchangeable parts by name; ``aircraft`` composes them, ``text`` encodes the prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from raytune_planes.config import Backbone, Head
from raytune_planes.model.backbones import Pyramid, Residual
from raytune_planes.model.heads import Attention, Cosine, Mlp, linear


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

HEADS: Mapping[str, Callable[[int, int, Head], nn.Module]] = {
    "linear": linear,
    "mlp": Mlp,
    "attention": Attention,
    "cosine": Cosine,
}
"""``datasets.<name>.head.kind`` -> builder of (features, classes, settings).

A head maps the pooled features [B, C] and the grid [B, C, H, W] to logits [B, K], and has a ``margin``."""
