"""Networks of torchvision as pyramids: its import costs seconds, so nobody imports this file who does not use one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models
from torchvision.ops import FrozenBatchNorm2d, StochasticDepth

from raytune_planes.config import Backbone
from raytune_planes.errors import first_line
from raytune_planes.model.backbones import Borrowed, Grid, Pyramid, as_trained, norm, unusable

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pictures that these networks were trained on (ImageNet)."""


class Network(NamedTuple):
    """One of torchvision's networks, cut where its maps have strides 4, 8 and 16."""

    name: str
    """For ``torchvision.models.get_model``."""
    channels: tuple[int, int, int]
    cut: Callable[[Any], Sequence[nn.Sequential]]


def _resnet(net: Any) -> Sequence[nn.Sequential]:
    first = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1)
    return first, nn.Sequential(net.layer2), nn.Sequential(net.layer3)


def _features(*ends: int) -> Callable[[Any], Sequence[nn.Sequential]]:
    starts = (0, *ends[:-1])
    return lambda net: [net.features[start:end] for start, end in zip(starts, ends, strict=True)]


NETWORKS: Mapping[str, Network] = {
    "resnet18": Network("resnet18", (64, 128, 256), _resnet),
    "resnet50": Network("resnet50", (256, 512, 1024), _resnet),
    "resnet101": Network("resnet101", (256, 512, 1024), _resnet),
    "resnext50": Network("resnext50_32x4d", (256, 512, 1024), _resnet),
    "densenet121": Network("densenet121", (256, 512, 1024), _features(5, 7, 9)),
    "mobilenet_v2": Network("mobilenet_v2", (24, 32, 96), _features(4, 7, 14)),
    "efficientnet_b1": Network("efficientnet_b1", (24, 40, 112), _features(3, 4, 6)),
    "convnext_tiny": Network("convnext_tiny", (96, 192, 384), _features(2, 4, 6)),
    "swin_t": Network("swin_t", (96, 192, 384), _features(2, 4, 6)),
}


class Convolutional(Borrowed):
    """A network whose maps have strides 4, 8 and 16 on a picture of twice the size, hence 2, 4 and 8 on the picture.

    These networks shrink by 32 and were made for 224 pixels: on a chip of 24 nothing would be left. Their last stage is
    cut off.
    """

    def __init__(self, settings: Backbone) -> None:
        network = NETWORKS[settings.kind]
        net = _network(network.name, frozen=settings.weights != "random")
        super().__init__(settings, network.channels)
        self.stages = nn.ModuleList(network.cut(net))
        self.settle()

    @property
    def layers(self) -> list[nn.Module]:
        return list(self.stages)

    def maps(self, image_BCHW: Tensor) -> list[Tensor]:
        x_BCHW = _enlarged(image_BCHW)
        found = []
        for stage, channels in zip(self.stages, NETWORKS[self.kind].channels, strict=True):
            x_BCHW = stage(x_BCHW)
            # Swin keeps its channels last in the shape as well.
            found.append(x_BCHW if x_BCHW.shape[1] == channels else x_BCHW.permute(0, 3, 1, 2))
        return found

    def load_weights(self, weights: str) -> None:
        network = NETWORKS[self.kind]
        whole = _network(network.name, frozen=True)
        _load(whole, self.kind, network.name, weights)
        for mine, theirs in zip(self.stages, network.cut(whole), strict=True):
            mine.load_state_dict(theirs.state_dict())


class VitB16(Grid):
    """ViT-B/16 (Dosovitskiy et al. 2021) on a picture of twice the size: one grid at stride 8, no finer maps."""

    def __init__(self, settings: Backbone) -> None:
        super().__init__(settings, 768)
        self.net = models.vit_b_16(weights=None)
        self.net.heads = nn.Identity()
        self.settle()

    @property
    def layers(self) -> list[nn.Module]:
        return [self.net.conv_proj, *self.net.encoder.layers]

    def grid(self, image_BCHW: Tensor) -> Tensor:
        height, width = (side // 8 for side in image_BCHW.shape[-2:])
        x_BCHW = _enlarged(image_BCHW)
        tokens_BND = self.net.conv_proj(x_BCHW).flatten(2).transpose(1, 2)
        place_1ND = self.net.encoder.pos_embedding
        side = round((place_1ND.shape[1] - 1) ** 0.5)
        grid_1DHW = place_1ND[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        grid_1DHW = F.interpolate(grid_1DHW, (height, width), mode="bicubic", align_corners=False)
        first_B1D = (self.net.class_token + place_1ND[:, :1]).expand(len(image_BCHW), -1, -1)
        tokens_BND = torch.cat([first_B1D, tokens_BND + grid_1DHW.flatten(2).transpose(1, 2)], 1)
        tokens_BND = self.net.encoder.ln(self.net.encoder.layers(self.net.encoder.dropout(tokens_BND)))
        return tokens_BND[:, 1:].transpose(1, 2).unflatten(2, (height, width))

    def load_weights(self, weights: str) -> None:
        _load(self.net, self.kind, "vit_b_16", weights)


def build(settings: Backbone) -> Pyramid:
    """The network ``settings.kind`` with random weights."""
    return VitB16(settings) if settings.kind == "vit_b_16" else Convolutional(settings)


def _network(name: str, frozen: bool) -> nn.Module:
    """With random weights, the same in training and in evaluation: what regularises is a setting of ours."""
    net: nn.Module = models.get_model(name, weights=None)
    for module in net.modules():
        if isinstance(module, StochasticDepth):
            module.p = 0.0
    _without_batch_statistics(net, frozen)
    return net


def _enlarged(image_BCHW: Tensor) -> Tensor:
    """Twice the size, in the statistics of ImageNet."""
    pixels = as_trained(image_BCHW, MEAN, DEVIATION)
    return F.interpolate(pixels, scale_factor=2, mode="bilinear", align_corners=False)


def _without_batch_statistics(module: nn.Module, frozen: bool) -> None:
    """Each BatchNorm becomes one with fixed statistics (pretrained weights need theirs) or a GroupNorm.

    Running averages over batches of several datasets would describe a mixture that no batch ever had.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d(child.num_features) if frozen else norm(child.num_features))
        else:
            _without_batch_statistics(child, frozen)


def _load(net: nn.Module, kind: str, name: str, weights: str) -> None:
    """Raises UserError: the file is not to be had, or is of another network."""
    path = Path(weights).expanduser()
    if weights == "pretrained":
        chosen = models.get_model_weights(name).DEFAULT
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        path = folder / chosen.url.rsplit("/", 1)[1]
        if not path.is_file():
            try:
                chosen.get_state_dict(progress=False)
            except (URLError, OSError, RuntimeError) as error:
                why = f"cannot be downloaded ({error}); put the file {path.name} of torchvision into {folder}"
                raise unusable(kind, weights, why) from None
    if not path.is_file():
        raise unusable(kind, weights, "is no file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        absent, _ = net.load_state_dict(state, strict=False)
    except Exception as error:  # whatever a file that is none of these makes torch raise
        raise unusable(kind, weights, f"holds no weights of torchvision's {name}: {first_line(error)[:200]}") from None
    if absent := [key for key in absent if not key.startswith(("fc.", "classifier.", "head", "norm."))]:
        raise unusable(
            kind, weights, f"lacks {len(absent)} of the weights of torchvision's {name}, {absent[0]} among them"
        )
