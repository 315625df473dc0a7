"""Depthwise convolutions with wide filters, whose gradient oneDNN has no fast kernel for on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

WIDEST = 3
"""Columns of the filters that oneDNN's depthwise kernel computes gradients of (jit_dw, backward_weights); for wider
ones it takes a general kernel, which pads each channel to a block of sixteen: 0.3 against 9 ms for 3 and 5 columns on
32 maps of 8x8 with 480 channels."""

Pair = tuple[int, int]


def conv2d(
    x_BCHW: Tensor, filters: Tensor, bias_C: Tensor, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Tensor:
    """``F.conv2d`` with its gradients."""
    is_wide = filters.shape[1] == 1 and groups == len(filters) and filters.shape[3] > WIDEST and dilation == (1, 1)
    plain = x_BCHW.device.type == "cpu" and not torch.is_autocast_enabled("cpu") and not bias_C.requires_grad
    if is_wide and plain and filters.requires_grad:
        found: Tensor = _Wide.apply(x_BCHW, filters, bias_C, stride, padding)
        return found
    return F.conv2d(x_BCHW, filters, bias_C, stride, padding, dilation, groups)


class _Wide(torch.autograd.Function):
    """A depthwise convolution that computes the gradient of its filters some columns at a time."""

    @staticmethod
    def forward(ctx: Any, x_BCHW: Tensor, filters: Tensor, bias_C: Tensor, stride: Pair, padding: Pair) -> Tensor:
        ctx.save_for_backward(x_BCHW, filters)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x_BCHW, filters, bias_C, stride, padding, 1, len(filters))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BCHW: Tensor) -> tuple[Tensor | None, ...]:
        x_BCHW, filters = ctx.saved_tensors
        of_x, of_filters = None, None
        if ctx.needs_input_grad[0]:
            of_x = _gradients(gradient_BCHW, x_BCHW, filters, ctx.stride, ctx.padding, (True, False))[0]
        if ctx.needs_input_grad[1]:
            of_filters = _of_filters(gradient_BCHW, x_BCHW, filters, ctx.stride, ctx.padding)
        return of_x, of_filters, None, None, None


def _of_filters(gradient_BCHW: Tensor, x_BCHW: Tensor, filters: Tensor, stride: Pair, padding: Pair) -> Tensor:
    """Columns from the i-th on are narrower filters that see the picture from column i on."""
    (rows, columns), (height, width) = filters.shape[2:], x_BCHW.shape[2:]
    out_height, out_width = gradient_BCHW.shape[2:]
    top, bottom, inside = 0, 0, padding[0]
    if height < rows:  # the kernel is for maps that are as high as the filters
        top, inside = padding[0], 0
        bottom = (out_height - 1) * stride[0] + rows - height - top
    parts = []
    for first in range(0, columns, WIDEST):
        part = filters[..., first : first + WIDEST].contiguous()
        left = padding[1] - first
        right = (out_width - 1) * stride[1] + part.shape[3] - width - left
        if width <= max(-left, -right):  # on small maps the outer columns see the padding alone
            parts.append(torch.zeros_like(part))
            continue
        seen_BCHW = F.pad(x_BCHW, (left, right, top, bottom))
        parts.append(_gradients(gradient_BCHW, seen_BCHW, part, stride, (inside, 0), (False, True))[1])
    return torch.cat(parts, 3)


def _gradients(
    gradient_BCHW: Tensor, x_BCHW: Tensor, filters: Tensor, stride: Pair, padding: Pair, of: tuple[bool, bool]
) -> Sequence[Tensor]:
    """Those of a depthwise convolution's picture and filters: ``of`` which of them."""
    found: Sequence[Tensor] = torch.ops.aten.convolution_backward(
        gradient_BCHW, x_BCHW, filters, None, stride, padding, (1, 1), False, (0, 0), len(filters), (*of, False)
    )
    return found
