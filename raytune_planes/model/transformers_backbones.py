"""Vision towers of transformers as grids of features; nobody imports this file who does not use one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from raytune_planes.config import Backbone
from raytune_planes.errors import first_line
from raytune_planes.model.backbones import Grid, Pyramid, as_trained, unusable


class Tower(NamedTuple):
    """One kind of vision tower."""

    model: str
    """Class in transformers."""
    config: str
    options: Mapping[str, Any]
    repository: str
    """On the hub."""
    patch: int
    mean: tuple[float, float, float]
    spread: tuple[float, float, float]
    idle: str
    """The part whose parameters do not reach the grid."""


TOWERS: Mapping[str, Tower] = {
    "clip": Tower(
        "CLIPVisionModel",
        "CLIPVisionConfig",
        {"patch_size": 16},
        "openai/clip-vit-base-patch16",
        16,
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
        "post_layernorm",
    ),
    "dinov2": Tower(
        "Dinov2Model",
        "Dinov2Config",
        {"patch_size": 14, "image_size": 518},
        "facebook/dinov2-base",
        14,
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
        "mask_token",
    ),
}
"""CLIP's ViT-B/16 (Radford et al. 2021) and DINOv2's ViT-B/14 (Oquab et al. 2023)."""


class VisionTower(Grid):
    """A tower on a picture resized so that its patches lie at stride 8; one grid, no finer maps."""

    def __init__(self, settings: Backbone) -> None:
        import transformers

        tower = TOWERS[settings.kind]
        config = getattr(transformers, tower.config)(**tower.options)
        super().__init__(settings, config.hidden_size)
        self.net = getattr(transformers, tower.model)(config)
        self.settle()
        for name, parameter in self.net.named_parameters():
            if tower.idle in name.split("."):  # several workers would wait for its gradient
                parameter.requires_grad_(False)

    @property
    def layers(self) -> list[nn.Module]:
        inner = getattr(self.net, "vision_model", self.net)
        blocks = inner.encoder.layers if hasattr(inner.encoder, "layers") else inner.encoder.layer
        return [inner.embeddings, *blocks]

    def grid(self, image_BCHW: Tensor) -> Tensor:
        tower = TOWERS[self.kind]
        sides = [side // 8 for side in image_BCHW.shape[-2:]]
        pixels = as_trained(image_BCHW, tower.mean, tower.spread)
        pixels = F.interpolate(pixels, [n * tower.patch for n in sides], mode="bilinear", align_corners=False)
        more = {"interpolate_pos_encoding": True} if self.kind == "clip" else {}
        tokens_BND = self.net(pixels, **more).last_hidden_state[:, 1:]
        return tokens_BND.transpose(1, 2).unflatten(2, sides)

    def load_weights(self, weights: str) -> None:
        import transformers

        tower = TOWERS[self.kind]
        folder = Path(weights).expanduser()
        local = weights != "pretrained"
        if local and not folder.is_dir():
            raise unusable(self.kind, weights, "is no folder with config.json and model.safetensors")
        try:
            found = getattr(transformers, tower.model).from_pretrained(str(folder) if local else tower.repository)
            self.net.load_state_dict(found.state_dict())
        except (OSError, ValueError, RuntimeError) as error:
            way = f"fetch {tower.repository} once with a network ('hf download {tower.repository}'), or give its folder"
            raise unusable(self.kind, weights, f"cannot be loaded: {first_line(error)[:200]}; {way}") from None


def build(settings: Backbone) -> Pyramid:
    """The tower ``settings.kind`` with random weights."""
    return VisionTower(settings)
