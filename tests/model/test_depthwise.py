"""Gradients of wide depthwise filters are torch's own, on maps smaller and larger than the filters."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from raytune_planes.model.depthwise import conv2d


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("columns", [4, 5, 7, 9])
@pytest.mark.parametrize("sides", [(1, 1), (2, 2), (3, 4), (8, 8), (9, 16)])
def test_gradients_of_wide_depthwise_filters_are_torchs_own(
    sides: tuple[int, int], columns: int, stride: int, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    x_BCHW = torch.randn(3, 32, *sides, dtype=dtype).contiguous(memory_format=torch.channels_last)
    filters, bias_C = torch.randn(32, 1, columns, columns, dtype=dtype), torch.randn(32, dtype=dtype)
    options = (stride, stride), (columns // 2, columns // 2), (1, 1), 32
    found = []
    for convolve in (conv2d, F.conv2d):
        inputs = [x_BCHW.clone().requires_grad_(), filters.clone().requires_grad_()]
        out_BCHW = convolve(*inputs, bias_C, *options)
        out_BCHW.sin().sum().backward()
        found.append([out_BCHW, *(i.grad for i in inputs)])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-4 if dtype == torch.float32 else 1e-10)
