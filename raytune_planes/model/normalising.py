"""Normalisations of timm's networks without running averages: with fixed statistics, or with those of one picture.

Running averages over batches of several datasets would describe a mixture that no batch ever had.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from timm.layers import BatchNormAct2d, GroupNormAct, freeze_batch_norm_2d
from torch import Tensor, nn

from raytune_planes.model.backbones import groups, norm


def fixed(net: Any) -> Any:
    """``net`` with statistics, weights and shifts of every BatchNorm fixed, under the same names in ``state_dict``."""
    net = freeze_batch_norm_2d(net)
    _replace(net, nn.BatchNorm1d, _Fixed1d)
    return net


def by_group(net: Any) -> Any:
    """``net`` with GroupNorm in place of each BatchNorm, with the same activation; over tokens, LayerNorm's groups."""
    _replace(net, BatchNormAct2d, _with_activation)
    _replace(net, nn.BatchNorm2d, lambda own: norm(own.num_features))
    _replace(net, nn.BatchNorm1d, lambda own: nn.GroupNorm(1, own.num_features))
    return net


class _Fixed1d(nn.Module):
    """A BatchNorm over tokens or rows in evaluation, in training as well; timm has this for maps alone."""

    def __init__(self, own: nn.BatchNorm1d) -> None:
        super().__init__()
        self.num_features, self.eps = own.num_features, own.eps
        for name in ("weight", "bias", "running_mean", "running_var"):
            tensor = getattr(own, name)
            self.register_buffer(name, None if tensor is None else tensor.detach())

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [N, C] or [N, C, L]."""
        tensors: dict[str, Tensor] = dict(self.named_buffers())
        return F.batch_norm(
            x, tensors["running_mean"], tensors["running_var"], tensors.get("weight"), tensors.get("bias"), eps=self.eps
        )


def _with_activation(own: BatchNormAct2d) -> nn.Module:
    mine = GroupNormAct(own.num_features, num_groups=groups(own.num_features))
    mine.drop, mine.act = own.drop, own.act
    return mine


def _replace(module: nn.Module, kind: type[nn.Module], by: Callable[[Any], nn.Module]) -> None:
    for name, child in module.named_children():
        if isinstance(child, kind):
            setattr(module, name, by(child))
        else:
            _replace(child, kind, by)
