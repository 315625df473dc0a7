"""The image encoders: our own, and any of timm's."""

from __future__ import annotations

from raytune_planes.config import Backbone
from raytune_planes.encoders import OWN
from raytune_planes.model.backbones import Pyramid, Residual


def build_encoder(settings: Backbone) -> Pyramid:
    """The encoder ``model.backbone.kind`` with random weights; timm is imported by who asks for a network of its.

    Raises:
        UserError: timm has no such network, or it gives no maps of features.
    """
    if settings.kind == OWN:
        return Residual(settings)
    from raytune_planes.model.timm_encoders import TimmPyramid

    return TimmPyramid(settings)
