"""The mask decoder."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raytune_planes.tasks.segmentation.decoder import Decoder

CHANNELS = (8, 16, 32)


def pyramid(height: int, width: int) -> list[Tensor]:
    return [torch.randn(2, c, height // s, width // s) for c, s in zip(CHANNELS, (2, 4, 8), strict=True)]


@pytest.mark.parametrize(("height", "width"), [(16, 16), (24, 24), (64, 40)])
def test_logits_have_the_resolution_of_the_image(height: int, width: int) -> None:
    assert Decoder(CHANNELS, 4)(pyramid(height, width)).shape == (2, height, width)


def test_a_fresh_decoder_expects_few_plane_pixels() -> None:
    share = Decoder(CHANNELS, 16)(pyramid(64, 64)).sigmoid()
    assert 0.05 < share.mean().item() < 0.25


def test_every_level_of_the_pyramid_reaches_the_mask() -> None:
    decoder = Decoder(CHANNELS, 4)
    levels = [level.requires_grad_() for level in pyramid(24, 24)]
    decoder(levels).square().sum().backward()
    assert all(level.grad is not None and level.grad.abs().sum() > 0 for level in levels)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())
