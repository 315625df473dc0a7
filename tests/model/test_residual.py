"""Our own image encoder."""

from __future__ import annotations

import pytest
import torch

from raytune_planes.config import Backbone
from raytune_planes.model.backbones import Convolution, Residual

SMALL = Backbone(width=8)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (24, 24), (64, 40)])
def test_a_backbone_makes_maps_at_strides_2_4_and_8(height: int, width: int) -> None:
    backbone = Residual(SMALL)
    maps = backbone(torch.randn(2, 3, height, width))
    expected = [(2, c, height // s, width // s) for c, s in zip(backbone.channels, (2, 4, 8), strict=True)]
    assert [tuple(m.shape) for m in maps] == expected


def test_a_backbone_uses_all_of_its_parameters() -> None:
    backbone = Residual(SMALL)
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    sum(m.square().mean() for m in backbone(torch.randn(2, 3, 24, 24))).backward()
    idle = [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert not idle


def test_an_image_is_seen_alike_whatever_shares_its_batch() -> None:
    """The remedy to batch statistics that mix datasets; also alike in training and in evaluation."""
    backbone = Residual(SMALL)
    image_BCHW = torch.randn(6, 3, 24, 24)
    alone, together = (
        backbone(image_BCHW[:1])[-1],
        backbone(image_BCHW * torch.tensor([1.0] + [9.0] * 5).view(-1, 1, 1, 1)),
    )
    torch.testing.assert_close(alone, together[-1][:1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(backbone.eval()(image_BCHW)[-1], backbone.train()(image_BCHW)[-1])
    assert not list(backbone.buffers())


def test_deeper_settings_have_more_parameters() -> None:
    sizes = [sum(p.numel() for p in Residual(Backbone(width=8, depth=d)).parameters()) for d in (1, 2)]
    assert sizes[1] > sizes[0]


def test_a_side_that_does_not_divide_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="do not divide by 8"):
        Residual(SMALL)(torch.randn(1, 3, 20, 24))


def test_pooled_features_hardly_change_when_the_picture_moves_by_a_pixel() -> None:
    """By about a tenth; subsampling without pooling changes them by a quarter."""
    torch.manual_seed(0)
    backbone = Residual(Backbone(width=16)).eval()
    image_BCHW = torch.zeros(1, 3, 64, 64)
    image_BCHW[..., 28:33, 24:40] = torch.randn(3, 5, 16)
    still, *moved = (backbone(image_BCHW.roll(by, 3))[-1].mean((2, 3)) for by in range(8))
    assert all((m - still).norm() / still.norm() < 0.17 for m in moved)


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"padding": 1, "groups": 2, "dilation": 2}])
def test_a_standardised_convolution_is_torchs_with_standardised_filters_bit_for_bit(options: dict[str, int]) -> None:
    torch.manual_seed(0)
    ours, theirs = Convolution(4, 6, 3, **options), torch.nn.Conv2d(4, 6, 3, **options)
    image_BCHW, weight = torch.randn(2, 4, 9, 9), ours.weight.detach()
    spread = weight.var((1, 2, 3), keepdim=True, unbiased=False)
    with torch.no_grad():
        theirs.bias.copy_(ours.bias)
        theirs.weight.copy_(
            (weight - weight.mean((1, 2, 3), keepdim=True)) * torch.rsqrt((spread + 1e-8) * weight[0].numel())
        )
    assert torch.equal(ours(image_BCHW), theirs(image_BCHW))
