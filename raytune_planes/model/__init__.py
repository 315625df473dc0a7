"""The network's interchangeable parts by name; ``aircraft`` composes them, ``text`` encodes the prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from raytune_planes.config import Backbone, Head
from raytune_planes.model.backbones import Pyramid, Residual
from raytune_planes.model.heads import Attention, Cosine, Mlp, linear

BACKBONES: Mapping[str, Callable[[Backbone], Pyramid]] = {"residual": Residual}
"""``model.backbone.kind`` -> builder."""

HEADS: Mapping[str, Callable[[int, int, Head], nn.Module]] = {
    "linear": linear,
    "mlp": Mlp,
    "attention": Attention,
    "cosine": Cosine,
}
"""``datasets.<name>.head.kind`` -> builder of (features, classes, settings).

A head maps the pooled features [B, C] and the grid [B, C, H, W] to logits [B, K], and has a ``margin``."""
