"""The part of the model that tells hidden patches of an image from the visible ones (SimMIM, Xie et al. 2022)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from raytune_planes.model.backbones import STRIDE


def cover(image_BCHW: Tensor, hidden_BHW: Tensor) -> Tensor:
    """The image with its mean visible colour in the hidden pixels: all that can be said of them without looking."""
    hidden_B1HW = hidden_BHW[:, None]
    visible_B1 = (~hidden_BHW).sum((1, 2)).clamp_min(1)[:, None]
    mean_BC = image_BCHW.masked_fill(hidden_B1HW, 0).sum((2, 3)) / visible_B1
    return image_BCHW.where(~hidden_B1HW, mean_BC[:, :, None, None])


class PatchDecoder(nn.Module):
    """One linear layer from each cell of the last grid to the pixels under it (section 3.3: a deeper one is no better).

    It says by how much a pixel differs from the colour that covers it, so an untrained one leaves the cover as it is.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pixels = nn.Conv2d(channels, 3 * STRIDE**2, 1)
        for parameter in self.pixels.parameters():
            nn.init.normal_(parameter, std=0.01)

    def forward(self, grid_BCHW: Tensor, covered_BCHW: Tensor) -> Tensor:
        """The picture [B, 3, H, W], normalised, from its grid at stride 8 and the covered picture that it is of."""
        return covered_BCHW + F.pixel_shuffle(self.pixels(grid_BCHW), STRIDE)
