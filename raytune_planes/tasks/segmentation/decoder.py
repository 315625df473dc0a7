"""The decoder that turns the pyramid into a mask (Ronneberger et al. 2015)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from raytune_planes.model.blocks import join, unit

GAIN = 10.0
"""Of the last layer: Adam moves a weight by no more than its rate a step, and few channels make a pixel's logit."""

PRIOR_LOGIT = -2.0
"""Every pixel's at the start: one in eight is a plane's (Lin et al. 2017, section 4.1).

From 0, the many pixels of the ground can push all weights below 0 at once, and since the features are not negative, no
pixel's logit then exceeds the bias: some runs of 240 steps on real tiles ended at a good cross-entropy with an IoU of
0. With the prior they reach 0.55.
"""


class Decoder(nn.Module):
    """Climbs from stride 8 to stride 2 over skip connections; the last doubling is a pixel shuffle (Shi et al. 2016).

    Sub-pixel logits cost a quarter of a convolution at full resolution and are as sharp.
    """

    def __init__(self, channels: tuple[int, int, int], width: int) -> None:
        super().__init__()
        fine, middle, coarse = channels
        self.enter = unit(coarse, 2 * width, kernel=1)  # narrow before every doubling: it quadruples the cost
        self.middle = unit(2 * width + middle, width)
        self.fine = unit(width + fine, width)
        self.logits = nn.Conv2d(width, 4, 1)
        for parameter in self.logits.parameters():
            nn.init.normal_(parameter, std=0.05)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        """Logits [B, H, W] at the image's own resolution."""
        fine_BCHW, middle_BCHW, coarse_BCHW = pyramid
        x_BCHW = join(self.enter(coarse_BCHW), middle_BCHW)
        x_BCHW = join(self.middle(x_BCHW), fine_BCHW)
        return PRIOR_LOGIT + GAIN * F.pixel_shuffle(self.logits(self.fine(x_BCHW)), 2).squeeze(1)
