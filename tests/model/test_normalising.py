"""Networks of timm normalise by statistics that no batch changes."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch

from raytune_planes.config import Backbone
from raytune_planes.model import build_encoder
from raytune_planes.model.backbones import groups
from raytune_planes.model.normalising import by_group, fixed

pytestmark = pytest.mark.slow
OVER_TOKENS = "levit_128s"
"""It has BatchNorm over tokens, which timm's own ``freeze_batch_norm_2d`` leaves as it is."""


@pytest.mark.parametrize(("channels", "expected"), [(4, 1), (24, 3), (60, 6), (220, 22), (13, 1)])
def test_groups_are_equal_and_hold_at_least_eight_channels(channels: int, expected: int) -> None:
    assert groups(channels) == expected


def test_a_network_whose_channels_do_not_divide_by_eight_is_built() -> None:
    encoder = build_encoder(Backbone(kind="timm/ghostnet_050", width=8))
    assert [tuple(m.shape) for m in encoder(torch.randn(1, 3, 16, 16))] == [(1, 8, 8, 8), (1, 16, 4, 4), (1, 32, 2, 2)]


def levit() -> Any:
    torch.manual_seed(0)
    net = timm.create_model(OVER_TOKENS, pretrained=False, num_classes=0)
    for name, tensor in net.state_dict().items():
        if name.endswith(("running_var", "bn.weight")):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bn.bias")):
            tensor.normal_(0, 0.3)
    return net


@torch.no_grad()
def test_fixed_statistics_over_tokens_are_the_networks_own_in_training() -> None:
    own, image_BCHW = levit().eval(), torch.randn(2, 3, 224, 224)
    expected = own.forward_features(image_BCHW)
    names = [name for name in own.state_dict() if not name.endswith("num_batches_tracked")]
    net = fixed(own).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    torch.testing.assert_close(net.forward_features(image_BCHW), expected)
    assert list(net.state_dict()) == names
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not any(name.endswith("bn.weight") for name, _ in net.named_parameters())


@torch.no_grad()
def test_a_picture_is_normalised_over_tokens_by_itself() -> None:
    net, image_BCHW = by_group(levit()).train(), torch.randn(2, 3, 224, 224)
    alone = net.forward_features(image_BCHW[:1])
    together = net.forward_features(image_BCHW * torch.tensor([1.0, 9.0]).view(-1, 1, 1, 1))
    torch.testing.assert_close(alone, together[:1], rtol=1e-3, atol=1e-4)
    assert not any("running" in name for name in net.state_dict())
