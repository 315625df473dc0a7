"""The names of image encoders: what ``model.backbone.kind`` may be. Imports no library of networks."""

from __future__ import annotations

import re
from collections.abc import Mapping

from raytune_planes.errors import did_you_mean

OWN = "residual"
"""Our own small network, which has no pretrained weights."""
ALIASES: Mapping[str, str] = {
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "resnext50": "resnext50_32x4d",
    "densenet121": "densenet121",
    "mobilenet_v2": "mobilenetv2_100",
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "efficientnet_b1": "efficientnet_b1",
    "convnext_tiny": "convnext_tiny",
    "swin_t": "swin_tiny_patch4_window7_224",
    "vit_b_16": "vit_base_patch16_224",
    "clip": "vit_base_patch16_clip_224",
    "dinov2": "vit_base_patch14_dinov2",
}
"""Short names of some of timm's networks."""


def timm_name(kind: str) -> str:
    """What timm calls the encoder ``kind``; empty for our own."""
    return kind.removeprefix("timm/") if kind.startswith("timm/") else ALIASES.get(kind, "")


def known(kind: str) -> str:
    """``kind``, which must be ours, an alias, or ``timm/NAME``; whether timm has it is seen when it is built.

    Raises:
        ValueError: it is none of them.
    """
    if kind == OWN or kind in ALIASES or re.fullmatch(r"timm/[a-z0-9_]+(\.[a-z0-9_]+)?", kind):
        return kind
    names = (OWN, *ALIASES)
    raise ValueError(f"no encoder '{kind}'{did_you_mean(kind, names)} (there are: {', '.join(names)}, and timm/NAME)")
