"""Classifiers on the pooled features of an image: one per dataset."""

from __future__ import annotations

from torch import nn

from raytune_planes.config import Head


def mlp(features: int, classes: int, settings: Head) -> nn.Sequential:
    """``depth`` hidden layers of ``width`` units with GELU, then a linear layer; dropout before every linear layer.

    Maps features_BN to logits_BK.
    """
    layers: list[nn.Module] = []
    for _ in range(settings.depth):
        layers += [nn.Dropout(settings.dropout), nn.Linear(features, settings.width), nn.GELU()]
        features = settings.width
    return nn.Sequential(*layers, nn.Dropout(settings.dropout), nn.Linear(features, classes))
