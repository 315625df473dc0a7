"""What decoders are built from: a convolution with its norm, and the step up to a finer map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raytune_planes.model.backbones import norm


def join(below_BCHW: Tensor, skip_BCHW: Tensor) -> Tensor:
    # Nearest, not bilinear: its gradient is deterministic on every device, and a convolution follows that smooths.
    return torch.cat([F.interpolate(below_BCHW, size=skip_BCHW.shape[-2:]), skip_BCHW], 1)


def unit(c_in: int, c_out: int, kernel: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, norm(c_out), nn.ReLU(inplace=True))
