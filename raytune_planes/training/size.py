"""How large the checkpoints of a configuration are, told from the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Info
from raytune_planes.network import Network
from raytune_planes.training.left_out import left_out
from raytune_planes.training.optimizers import OPTIMIZERS
from raytune_planes.training.start import freeze


@dataclass(frozen=True)
class Size:
    """In bytes, but for some kilobytes of settings and names."""

    weights: int
    """Of ``best.pt``."""
    state: int
    """Of ``last.pt``, with what the optimiser and the moving average remember of each weight that learns."""


def size_of(model: Network, config: TrialConfig) -> Size:
    """Of the checkpoints of ``model``, which may be on the device ``meta``."""
    absent = left_out(model.backbone, config.model)
    held = _bytes(tensor for name, tensor in model.state_dict().items() if name not in absent)
    learns = _bytes(p for p in model.parameters() if p.requires_grad)
    remembered = sum(key != "step" for key in OPTIMIZERS[config.optim.kind].state_keys) + bool(config.optim.ema)
    return Size(held, held + remembered * learns)


def largest(configs: Iterable[TrialConfig], infos: Mapping[str, Info], text_width: int) -> Size:
    """Of the largest of ``configs`` in any of its stages; no memory is taken for their models.

    A text encoder that trains (``text.freeze = false``) is not counted.
    """
    sizes = []
    for config in configs:
        for _, stage in config.staged:
            with torch.device("meta"):
                model = Network({name: infos[name] for name in stage.active}, stage, text_width)
            freeze(model, stage.frozen)
            sizes.append(size_of(model, stage))
    return Size(max(s.weights for s in sizes), max(s.state for s in sizes))


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
