"""The shared parts of the model: image encoders, refinement, prompts."""

from __future__ import annotations

from contextlib import nullcontext

import torch

from raytune_planes.config import Backbone
from raytune_planes.encoders import encoder
from raytune_planes.model.backbones import Pyramid
from raytune_planes.plugins import named


def check_encoder(settings: Backbone) -> None:
    """Refuse, before any picture is read, what would be refused once it is: a network that does not exist, or weights
    that cannot be had.

    Raises:
        UserError: as ``build_encoder`` and ``Pyramid.load_weights``.
    """
    with torch.device("meta") if settings.weights == "random" else nullcontext():
        build_encoder(settings).take(settings.weights)


def build_encoder(settings: Backbone) -> Pyramid:
    """The encoder ``model.backbone.kind`` with random weights; the library of its network is imported here.

    Raises:
        UserError: timm has no such network, or it gives no maps of features.
    """
    network: Pyramid = named(encoder(settings.kind).network)(settings)
    return network
