"""The network's interchangeable parts by name; ``aircraft`` composes them, ``text`` encodes the prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from raytune_planes.config import Backbone, Head
from raytune_planes.model.backbones import Pyramid, Residual
from raytune_planes.model.heads import mlp

BACKBONES: Mapping[str, Callable[[Backbone], Pyramid]] = {"residual": Residual}
"""``model.backbone.kind`` -> builder."""

HEADS: Mapping[str, Callable[[int, int, Head], nn.Module]] = {"mlp": mlp}
"""``datasets.<name>.head.kind`` -> builder of (features, classes, settings)."""
