"""Transformer blocks over the grid of image tokens, modulated by the dataset (Peebles & Xie 2023)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXPANSION = 2
"""Hidden units of a block's MLP, relative to its width."""


class Refinement(nn.Module):
    """DiT blocks over a feature map of any size; starts as the identity (adaLN-zero)."""

    def __init__(self, channels: int, depth: int, heads: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, heads) for _ in range(depth))

    def forward(self, map_BCHW: Tensor, condition_C: Tensor) -> Tensor:
        """The refined map, of the same shape; ``condition_C`` is the dataset's embedding."""
        if not self.blocks:
            return map_BCHW
        _, channels, height, width = map_BCHW.shape
        places_ND = positions(height, width, channels).to(map_BCHW, non_blocking=True)
        tokens_BND = map_BCHW.flatten(2).transpose(1, 2)
        tokens_BND = tokens_BND + places_ND
        for block in self.blocks:
            tokens_BND = block(tokens_BND, condition_C)
        # Positions guide the attention but leave the map: the decoder and the pooling see features only.
        return (tokens_BND - places_ND).transpose(1, 2).reshape(map_BCHW.shape)


class Block(nn.Module):
    """Self-attention and an MLP, each between a shift and scale and a gate that the condition sets (adaLN-zero)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        assert width % heads == 0, f"{heads} heads do not divide {width} channels"
        self.heads = heads
        self.before_attention = nn.LayerNorm(width, elementwise_affine=False)
        self.before_mlp = nn.LayerNorm(width, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, EXPANSION * width), nn.GELU(approximate="tanh"), nn.Linear(EXPANSION * width, width)
        )
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, tokens_BND: Tensor, condition_D: Tensor) -> Tensor:
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = self.modulation(F.silu(condition_D)).chunk(6)
        tokens_BND = tokens_BND + gate_1 * self._attend(self.before_attention(tokens_BND) * (1 + scale_1) + shift_1)
        return tokens_BND + gate_2 * self.mlp(self.before_mlp(tokens_BND) * (1 + scale_2) + shift_2)

    def _attend(self, tokens_BND: Tensor) -> Tensor:
        batch, count, width = tokens_BND.shape
        q, k, v = self.qkv(tokens_BND).view(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed_BHND = F.scaled_dot_product_attention(q, k, v)
        return self.out(mixed_BHND.transpose(1, 2).reshape(batch, count, width))


def positions(height: int, width: int, channels: int) -> Tensor:
    """Fixed 2D sine-cosine positions of a grid, float32 [height x width, channels] in row-major order.

    Half of the channels tell the row, half the column (Vaswani et al. 2017 in each direction, as in DiT); the same
    formula holds for every grid, so that datasets of different image sizes share the blocks.
    """
    per_axis = -(-channels // 4)  # sine and cosine for two axes; a remainder is cut off
    frequency_F = torch.exp(-math.log(10_000) * torch.arange(per_axis) / per_axis)
    row_HF = torch.arange(height)[:, None] * frequency_F
    column_WF = torch.arange(width)[:, None] * frequency_F
    rows_HWF = torch.cat([row_HF.sin(), row_HF.cos()], 1)[:, None].expand(-1, width, -1)
    columns_HWF = torch.cat([column_WF.sin(), column_WF.cos()], 1)[None].expand(height, -1, -1)
    return torch.cat([rows_HWF, columns_HWF], 2).reshape(height * width, -1)[:, :channels]
