"""Folded networks compute what timm's own do: maps, gradients of every weight, names in checkpoints."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers import freeze_batch_norm_2d
from torch import Tensor

from raytune_planes.config import Backbone
from raytune_planes.encoders import encoder as encoder_of
from raytune_planes.model import build_encoder
from raytune_planes.model.backbones import as_trained
from raytune_planes.model.folding import Folded

pytestmark = pytest.mark.slow
TURNED = "efficientnet_lite0"
KINDS = (TURNED, "mobilenet_v2", "efficientnet_b1", "timm/tf_mobilenetv3_small_075", "resnet18", "resnet50")
"""TensorFlow's padding on pictures turned by 180 degrees; none; squeezing; TensorFlow's without turning; others."""


def both(kind: str) -> tuple[Any, Any]:
    """Our encoder and timm's own network with the same random weights and statistics, in 64 bits."""
    torch.manual_seed(0)
    encoder: Any = build_encoder(Backbone(kind=kind, width=8, weights="pretrained")).double()
    for name, tensor in encoder.net.state_dict().items():
        if "running_var" in name or ("bn" in name and name.endswith("weight")):
            tensor.uniform_(0.5, 1.5)
        elif "running_mean" in name or ("bn" in name and name.endswith("bias")):
            tensor.normal_(0, 0.3)
    own = freeze_batch_norm_2d(timm.create_model(encoder_of(kind).timm, pretrained=False, num_classes=0)).double()
    own.prune_intermediate_layers(list(encoder._strides), prune_norm=True, prune_head=True)
    own.load_state_dict(encoder.net.state_dict())
    return encoder.train(), own.train()


@pytest.mark.parametrize("sides", [(24, 40), (64, 64), (16, 72)])
@pytest.mark.parametrize("kind", KINDS)
def test_maps_and_gradients_of_every_weight_are_timms_own(kind: str, sides: tuple[int, int]) -> None:
    encoder, own = both(kind)
    image_BCHW = torch.randn(2, 3, *sides, dtype=torch.float64)
    pixels_BCHW = as_trained(image_BCHW, encoder._mean, encoder._deviation)
    pixels_BCHW = F.interpolate(pixels_BCHW, [2 * side for side in sides], mode="bilinear")
    theirs = own.forward_intermediates(pixels_BCHW, indices=list(encoder._strides), intermediates_only=True)
    mine = list(encoder.maps(image_BCHW).values())
    pulls = [torch.randn_like(map_BCHW) for map_BCHW in theirs]
    for maps in (mine, theirs):
        sum((map_BCHW * pull).mean() for map_BCHW, pull in zip(maps, pulls, strict=True)).backward()  # type: ignore[union-attr]
    assert all(a.shape == b.shape for a, b in zip(mine, theirs, strict=True))
    assert [distance(a, b) for a, b in zip(mine, theirs, strict=True)] == pytest.approx([0.0] * len(mine), abs=1e-5)
    gradients = {name: p.grad for name, p in own.named_parameters()}
    assert gradients.keys() == {name for name, _ in encoder.net.named_parameters()}
    apart = {name: distance(p.grad, gradients[name]) for name, p in encoder.net.named_parameters()}
    assert {name: d for name, d in apart.items() if not d < 1e-5} == {}


def distance(one: Tensor, other: Tensor) -> float:
    """Relative to the largest value."""
    return float((one - other).detach().abs().max() / other.detach().abs().max())


@pytest.mark.parametrize("kind", KINDS)
def test_every_convolution_in_front_of_a_fixed_normalisation_is_folded_and_keeps_its_names(kind: str) -> None:
    encoder, own = both(kind)
    assert list(encoder.net.state_dict()) == list(own.state_dict())
    norms = sum(name.endswith("running_var") for name in own.state_dict())
    assert sum(isinstance(module, Folded) for module in encoder.net.modules()) == norms
    assert encoder._turned == (kind == TURNED)


def test_a_network_with_statistics_of_groups_has_nothing_folded() -> None:
    encoder: Any = build_encoder(Backbone(kind=TURNED, width=8))
    assert not any(isinstance(module, Folded) for module in encoder.net.modules())
