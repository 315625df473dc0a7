"""Convolutions whose filters take in the fixed statistics of the normalisation behind them, in training as well."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from timm.layers import Conv2dSame, ConvNormAct, FrozenBatchNormAct2d, pad_same
from timm.layers.norm_act import FrozenBatchNorm2d
from timm.models import efficientnet, mobilenetv3, resnet
from torch import Tensor, nn

from raytune_planes.model.depthwise import conv2d

try:  # timm has no public name for these blocks; without them their convolutions stay unfolded, slower and equal
    from timm.models import _efficientnet_blocks as blocks

    BLOCKS: tuple[type, ...] = (
        blocks.ConvBnAct,
        blocks.DepthwiseSeparableConv,
        blocks.EdgeResidual,
        blocks.InvertedResidual,
    )
except (ImportError, AttributeError):
    BLOCKS = ()

FIXED = (FrozenBatchNormAct2d, FrozenBatchNorm2d)
IN_ORDER = {
    nn.Sequential,
    ConvNormAct,
    *BLOCKS,
    efficientnet.EfficientNet,
    mobilenetv3.MobileNetV3,
    resnet.BasicBlock,
    resnet.Bottleneck,
    resnet.ResNet,
}
"""Modules in which a normalisation that is registered right behind a convolution reads its output, and nothing else
does."""
ANY_SIDE_UP = (*FIXED, nn.Identity, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Sigmoid)
"""What does the same to a picture that is turned by 180 degrees; so does a convolution whose filters are turned."""


class Folded(nn.Module):
    """A convolution and the normalisation behind it, y = s (w * x) + t with fixed s and t, in one: y = (s w) * x + t.

    The filters are scaled in every pass, so that the convolution's weights get the gradients that they had before.
    """

    def __init__(self, conv: nn.Conv2d, norm: Any, *, turned: bool) -> None:
        """``turned``: pictures are turned by 180 degrees. TensorFlow's padding, which has its odd row and column at the
        end, then has them at the beginning, as a symmetric padding has: nothing need be padded by a copy."""
        super().__init__()
        self.weight, self.bias, self._turned = conv.weight, conv.bias, turned
        self._norm = (norm,)  # a tuple: it stays a module of its parent, under the name that it has in checkpoints
        self._pads = isinstance(conv, Conv2dSame) and not turned
        sides = tuple((k - 1) * d // 2 for k, d in zip(conv.kernel_size, conv.dilation, strict=True))
        padding = sides if isinstance(conv, Conv2dSame) and turned else conv.padding
        self._options: Any = conv.stride, padding, conv.dilation, conv.groups

    def forward(self, x_BCHW: Tensor) -> Tensor:
        (norm,), stride, dilation = self._norm, self._options[0], self._options[2]
        scale_C = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift_C = norm.bias - norm.running_mean * scale_C
        if self.bias is not None:
            shift_C = shift_C + self.bias * scale_C
        filters = self.weight * scale_C.view(-1, 1, 1, 1)
        if self._pads:
            x_BCHW = pad_same(x_BCHW, self.weight.shape[-2:], stride, dilation)
        if self._turned and self.weight.shape[-2:] != (1, 1):
            filters = filters.flip(2, 3)
        return conv2d(x_BCHW, filters, shift_C, *self._options)


class Unscaled(nn.Module):
    """What is left of a normalisation that a convolution has taken in: its tensors and the activation behind it."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.eps = norm.eps
        for name, tensor in norm.named_buffers():
            self.register_buffer(name, tensor)
        self.behind = nn.Sequential(norm.drop, norm.act) if isinstance(norm, FrozenBatchNormAct2d) else nn.Identity()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.behind(x_BCHW)


def fold(net: nn.Module) -> bool:
    """Fold all normalisations with fixed statistics that directly follow a convolution; names in ``state_dict`` stay.

    Returns:
        Whether ``net`` now takes pictures that are turned by 180 degrees, and gives such maps.
    """
    pairs = [pair for parent in net.modules() if type(parent) in IN_ORDER for pair in _pairs(parent)]
    turned = _may_be_turned(net, {id(parent.get_submodule(conv)) for parent, conv, _ in pairs})
    for parent, conv_name, norm_name in pairs:
        conv, norm = parent.get_submodule(conv_name), Unscaled(parent.get_submodule(norm_name))
        assert isinstance(conv, nn.Conv2d)
        setattr(parent, conv_name, Folded(conv, norm, turned=turned))
        setattr(parent, norm_name, norm)
    return turned


def _pairs(parent: nn.Module) -> list[tuple[nn.Module, str, str]]:
    """The names of convolutions and of the fixed normalisations right behind them."""
    return [
        (parent, conv_name, norm_name)
        for (conv_name, conv), (norm_name, norm) in itertools.pairwise(parent.named_children())
        if isinstance(conv, nn.Conv2d) and isinstance(norm, FIXED) and norm.num_features == conv.out_channels
    ]


def _may_be_turned(net: nn.Module, folded: set[int]) -> bool:
    """Whether turning pays, and all that ``net`` does can be done on turned pictures."""
    leaves = [module for module in net.modules() if not list(module.children())]
    convolutions = [module for module in leaves if isinstance(module, nn.Conv2d)]
    return (
        any(isinstance(conv, Conv2dSame) for conv in convolutions)
        and all(isinstance(leaf, (nn.Conv2d, *ANY_SIDE_UP)) for leaf in leaves)
        and all(id(conv) in folded or conv.kernel_size == (1, 1) for conv in convolutions)
        and all(k % 2 for conv in convolutions for k in conv.kernel_size)
    )
