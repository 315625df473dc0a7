"""What holds for every backbone of the table."""

from __future__ import annotations

import typing

import pytest
import torch

from raytune_planes.config import Backbone
from raytune_planes.model import BACKBONES

SMALL = Backbone(width=8)
OWN = ("residual",)
"""Those of other libraries are large: tests/model/test_backbones.py."""


def test_the_table_holds_what_the_settings_offer_and_no_more() -> None:
    assert set(BACKBONES) == set(typing.get_args(Backbone.model_fields["kind"].annotation))


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (24, 24), (64, 40)])
def test_a_backbone_makes_maps_at_strides_2_4_and_8(kind: str, height: int, width: int) -> None:
    backbone = BACKBONES[kind](SMALL)
    maps = backbone(torch.randn(2, 3, height, width))
    expected = [(2, c, height // s, width // s) for c, s in zip(backbone.channels, (2, 4, 8), strict=True)]
    assert [tuple(m.shape) for m in maps] == expected


@pytest.mark.parametrize("kind", OWN)
def test_a_backbone_uses_all_of_its_parameters(kind: str) -> None:
    backbone = BACKBONES[kind](SMALL)
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    sum(m.square().mean() for m in backbone(torch.randn(2, 3, 24, 24))).backward()
    idle = [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert not idle


@pytest.mark.parametrize("kind", OWN)
def test_an_image_is_seen_alike_whatever_shares_its_batch(kind: str) -> None:
    """The remedy to batch statistics that mix datasets; also alike in training and in evaluation."""
    backbone = BACKBONES[kind](SMALL)
    image_BCHW = torch.randn(6, 3, 24, 24)
    alone, together = (
        backbone(image_BCHW[:1])[-1],
        backbone(image_BCHW * torch.tensor([1.0] + [9.0] * 5).view(-1, 1, 1, 1)),
    )
    torch.testing.assert_close(alone, together[-1][:1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(backbone.eval()(image_BCHW)[-1], backbone.train()(image_BCHW)[-1])
    assert not list(backbone.buffers())


@pytest.mark.parametrize("kind", OWN)
def test_deeper_settings_have_more_parameters(kind: str) -> None:
    sizes = [sum(p.numel() for p in BACKBONES[kind](Backbone(width=8, depth=d)).parameters()) for d in (1, 2)]
    assert sizes[1] > sizes[0]


@pytest.mark.parametrize("kind", OWN)
def test_a_side_that_does_not_divide_is_our_own_mistake(kind: str) -> None:
    with pytest.raises(AssertionError, match="do not divide by 8"):
        BACKBONES[kind](SMALL)(torch.randn(1, 3, 20, 24))


@pytest.mark.parametrize("kind", OWN)
def test_pooled_features_hardly_change_when_the_picture_moves_by_a_pixel(kind: str) -> None:
    """By about a tenth; subsampling without pooling changes them by a quarter."""
    torch.manual_seed(0)
    backbone = BACKBONES[kind](Backbone(width=16)).eval()
    image_BCHW = torch.zeros(1, 3, 64, 64)
    image_BCHW[..., 28:33, 24:40] = torch.randn(3, 5, 16)
    still, *moved = (backbone(image_BCHW.roll(by, 3))[-1].mean((2, 3)) for by in range(8))
    assert all((m - still).norm() / still.norm() < 0.17 for m in moved)
