"""The image encoders: what ``model.backbone.kind`` may be. Another one is a file in ``model/`` and a line here."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from raytune_planes.errors import did_you_mean
from raytune_planes.plugins import Joined, joined


class Encoder(NamedTuple):
    """Where an image encoder's code is, and what it can be given."""

    network: str
    """``module:Class``, a subclass of ``model.backbones.Pyramid`` that is made from the settings ``model.backbone``;
    imported when a model is built."""
    timm: str = ""
    """What timm calls it; empty for networks that are not timm's."""
    takes_weights: bool = False
    """Whether ``model.backbone.weights`` and ``model.backbone.freeze`` may be set: it can have pretrained weights."""


def of_timm(name: str) -> Encoder:
    """The network that timm calls ``name``."""
    return Encoder("raytune_planes.model.timm_encoders:TimmPyramid", name, takes_weights=True)


def _problem(name: str, row: Any) -> str:
    return "" if isinstance(row, Encoder) else f"{row!r} is no raytune_planes.encoders.Encoder"


BACKBONES: Joined[Encoder] = joined(
    "backbones",
    {
        "residual": Encoder("raytune_planes.model.backbones:Residual"),
        "resnet18": of_timm("resnet18"),
        "resnet50": of_timm("resnet50"),
        "resnet101": of_timm("resnet101"),
        "resnext50": of_timm("resnext50_32x4d"),
        "densenet121": of_timm("densenet121"),
        "mobilenet_v2": of_timm("mobilenetv2_100"),
        "efficientnet_lite0": of_timm("tf_efficientnet_lite0"),
        "efficientnet_b1": of_timm("efficientnet_b1"),
        "convnext_tiny": of_timm("convnext_tiny"),
        "swin_t": of_timm("swin_tiny_patch4_window7_224"),
        "vit_b_16": of_timm("vit_base_patch16_224"),
        "clip": of_timm("vit_base_patch16_clip_224"),
        "dinov2": of_timm("vit_base_patch14_dinov2"),
    },
    _problem,
)
"""Name -> encoder. Those of timm are short names; ``timm/NAME`` needs no line."""


def encoder(kind: str) -> Encoder:
    """The one that ``model.backbone.kind = kind`` stands for; whether timm has it is seen when it is built.

    Raises:
        ValueError: it is neither in the table nor ``timm/NAME``.
    """
    if kind in BACKBONES:
        return BACKBONES[kind]
    if re.fullmatch(r"timm/[a-z0-9_]+(\.[a-z0-9_]+)?", kind):
        return of_timm(kind.removeprefix("timm/"))
    names = ", ".join(BACKBONES)
    raise ValueError(f"no encoder '{kind}'{did_you_mean(kind, BACKBONES)} (there are: {names}, and timm/NAME)")


def known(kind: str) -> str:
    """``kind``, if there is such an encoder. Raises ValueError as ``encoder`` does."""
    encoder(kind)
    return kind
