"""Networks of timm as pyramids. Importing timm takes seconds, so import this file only where one is used."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.layers import DropPath
from timm.models import get_arch_pretrained_cfgs, group_parameters
from torch import Tensor, nn

from raytune_planes.config import Backbone
from raytune_planes.encoders import encoder
from raytune_planes.errors import UserError, did_you_mean, first_line
from raytune_planes.model.backbones import STRIDE, Adapters, Pyramid, as_trained, norm
from raytune_planes.model.folding import fold
from raytune_planes.model.normalising import by_group
from raytune_planes.model.normalising import fixed as with_fixed
from raytune_planes.model.pretrained import PACKAGED, checked, tensors_of

FINE = (2, 4)
"""Strides of the two finer maps."""


class TimmPyramid(Pyramid):
    """Any network of timm that gives maps of features, projected to ``width``, 2 x and 4 x ``width`` channels.

    A network whose maps have strides of their own sees the picture ``enlarge`` times as large: maps at strides 2 and 4
    of the picture are projected, coarser ones are projected, enlarged to stride 8 and added (Lin et al. 2017), the last
    stage included. A network with a single grid sees the picture so that its patches lie at stride 8; the finer maps
    are enlarged from it (Li et al. 2022).
    """

    def __init__(self, settings: Backbone) -> None:
        super().__init__()
        self.kind, self.name, width = settings.kind, encoder(settings.kind).timm, settings.width
        self.is_pretrained, self._frozen = settings.weights != "random", settings.freeze
        self.channels = (width, 2 * width, 4 * width)
        self.net: Any = _network(self.name, fixed=self.is_pretrained)
        maps = [(int(info["num_chs"]), int(info["reduction"])) for info in _infos(self.net)]
        self._patch = maps[-1][1] if len({reduction for _, reduction in maps}) == 1 else 0
        self._enlarge = 1 if self._patch else settings.enlarge
        # The stride of each map on the picture; those finer than 2 are left out.
        strides = {i: reduction // self._enlarge for i, (_, reduction) in enumerate(maps)}
        if self._patch:
            strides = {len(maps) - 1: STRIDE}
        self._strides = {i: stride for i, stride in strides.items() if stride >= FINE[0]}
        if not self._strides:
            raise UserError(f"model.backbone.kind = '{self.kind}' has no map at stride 2 or above; choose another")
        self.net.prune_intermediate_layers(list(self._strides), prune_norm=not self._patch, prune_head=True)
        self._turned = fold(self.net) if self.is_pretrained else False
        cfg = self.net.pretrained_cfg
        self._mean, self._deviation = PACKAGED.statistics.get(self.name, (tuple(cfg["mean"]), tuple(cfg["std"])))
        channels = {i: maps[i][0] for i in self._strides}
        self._channels = channels
        self.coarse = nn.ModuleDict(
            {str(i): _projection(channels[i], 4 * width) for i, stride in self._strides.items() if stride not in FINE}
        )
        self.fine = nn.ModuleList(
            self._finer(stride, out, channels) for stride, out in zip(FINE, self.channels, strict=False)
        )
        for parameter in self.net.parameters():
            parameter.requires_grad_(not self._frozen)

    def _finer(self, stride: int, out: int, channels: dict[int, int]) -> nn.Module:
        """The projection of the map at ``stride``, or of the next coarser one, enlarged."""
        index = self._source(stride)
        if (at := self._strides[index]) == stride:
            return _projection(channels[index], out)
        factor = at // stride
        return nn.Sequential(nn.ConvTranspose2d(channels[index], out, factor, factor, bias=False), norm(out))

    def _source(self, stride: int) -> int:
        """The index of the map at ``stride``, or of the next coarser one."""
        return min((s, i) for i, s in self._strides.items() if s >= stride)[1]

    @property
    def layers(self) -> list[list[nn.Parameter]]:
        parameters = dict(self.net.named_parameters())
        layer_of = group_parameters(self.net, self.net.group_matcher(coarse=False), reverse=True)
        last = max(layer_of.values())
        groups: dict[int, list[nn.Parameter]] = {}
        for name, parameter in parameters.items():
            groups.setdefault(layer_of.get(name, last), []).append(parameter)
        return [groups[i] for i in sorted(groups)]

    def maps(self, image_BCHW: Tensor) -> dict[int, Tensor]:
        """timm's own maps by their index, of the picture as the network sees it."""
        pixels_BCHW = as_trained(image_BCHW, self._mean, self._deviation)
        height, width = image_BCHW.shape[-2:]
        if self._patch:
            size = [side // STRIDE * self._patch for side in (height, width)]
        else:
            size = [side * self._enlarge for side in (height, width)]
        if size != [height, width]:
            pixels_BCHW = F.interpolate(pixels_BCHW, size, mode="bilinear", align_corners=False)
        if self._turned:
            pixels_BCHW = pixels_BCHW.flip(2, 3)
        try:
            outputs = self.net.forward_intermediates(
                pixels_BCHW, indices=list(self._strides), intermediates_only=True, norm=bool(self._patch)
            )
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, AssertionError, ValueError) as error:
            expected = "x".join(map(str, self.net.pretrained_cfg["input_size"][1:]))
            raise UserError(
                f"model.backbone.kind = '{self.kind}' does not take pictures of {size[0]}x{size[1]} px "
                f"({first_line(error)[:160]}); it was made for {expected}: set datasets.<name>.image_size and "
                f"model.backbone.enlarge so that their product is that, or choose another network"
            ) from None
        if self._turned:
            outputs = [map_BCHW.flip(2, 3) for map_BCHW in outputs]
        return dict(zip(self._strides, outputs, strict=True))

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        height, width = image_BCHW.shape[-2:]
        assert height % STRIDE == 0, f"sides {height}, {width} do not divide by {STRIDE}"
        assert width % STRIDE == 0, f"sides {height}, {width} do not divide by {STRIDE}"
        return self.of_maps(self.held_maps(image_BCHW, fine=True), height, width)

    @property
    def last_stage(self) -> list[str]:
        """What follows the map before the last one; the last quarter of the blocks where all have a single grid (a
        transformer's blocks come in four parts, as Li et al. 2022 divide them)."""
        infos = _infos(self.net)
        before = f"{infos[3 * len(infos) // 4 - 1 if self._patch else -2]['module']}."
        layers = self.layers
        layer_of = {parameter: i for i, layer in enumerate(layers) for parameter in layer}
        named = dict(self.net.named_parameters())
        end = max((layer_of[p] for name, p in named.items() if name.startswith(before)), default=len(layers) - 2)
        end = min(end, len(layers) - 2)
        return [f"net.{name}" for name, parameter in named.items() if layer_of[parameter] > end]

    @property
    def adapted_channels(self) -> dict[str, int]:
        """Of timm's maps, which adapters change before they are projected: these are what all its networks have in
        common. Of a frozen network they are the same for all datasets, and can be stored."""
        return {str(index): channels for index, channels in self._channels.items()}

    held_prefix = "net."

    def held(self) -> dict[str, Tensor]:
        return dict(self.net.state_dict())

    @property
    def as_held(self) -> str:
        return f"timm {timm.__version__} {self.name} x{self._enlarge} {self._mean} {self._deviation}"

    def held_maps(self, image_BCHW: Tensor, *, fine: bool) -> dict[str, Tensor]:
        """timm's own maps by their index."""
        learns = any(parameter.requires_grad for parameter in self.net.parameters())
        # Only where it changes something: an exported program cannot hold a switch of gradients.
        with torch.no_grad() if torch.is_grad_enabled() and not learns else nullcontext():
            found = {str(index): map_BCHW for index, map_BCHW in self.maps(image_BCHW).items()}
        return found if fine else {index: found[index] for index in self.coarse}

    def of_maps(
        self, maps: Mapping[str, Tensor], height: int, width: int, adapters: Adapters | None = None
    ) -> list[Tensor]:
        if adapters is not None:
            maps = {index: adapters[index](map_BCHW) for index, map_BCHW in maps.items()}
        fine = []
        for project, stride in zip(self.fine, FINE, strict=True):
            if (source := str(self._source(stride))) in maps:
                fine.append(_sized(project(maps[source]), height // stride, width // stride))
        parts = [_sized(self.coarse[i](maps[i]), height // STRIDE, width // STRIDE) for i in self.coarse]
        return [*fine, torch.stack(parts).sum(0)]

    def load_weights(self, weights: str) -> None:
        whole = _network(self.name, fixed=True)
        taken = checked(tensors_of(self.kind, self.name, weights, whole), whole, self.kind, weights)
        whole.load_state_dict(taken)
        whole.prune_intermediate_layers(list(self._strides), prune_norm=not self._patch, prune_head=True)
        self.net.load_state_dict(whole.state_dict())

    def train(self, mode: bool = True) -> TimmPyramid:
        super().train(mode)
        if self._frozen:  # no dropout where nothing learns
            self.net.eval()
        return self


def _network(name: str, *, fixed: bool) -> Any:
    """With random weights and without a classifier; statistics of BatchNorm are ``fixed``, or by group."""
    if not timm.is_model(name):
        near = did_you_mean(name, timm.list_models())
        raise UserError(f"timm has no network '{name}'{near}; `timm.list_models()` lists them")
    architecture, _, tag = name.partition(".")
    if tag and name not in (published := get_arch_pretrained_cfgs(architecture)):
        there = ", ".join(sorted(published)) or "none"
        raise UserError(f"timm's network '{architecture}' has no weights called '{tag}' (there are: {there})")
    net: Any = None
    for options in ({"dynamic_img_size": True}, {"strict_img_size": False}, {}):
        try:
            net = timm.create_model(name, pretrained=False, num_classes=0, **options)
            break
        except TypeError:  # this network does not know the option
            continue
    if net is None or not hasattr(net, "forward_intermediates"):
        raise UserError(f"timm's network '{name}' gives no maps of features; choose another encoder")
    for module in net.modules():  # the same in training and in evaluation: what regularises is a setting of ours
        if isinstance(module, DropPath):
            module.drop_prob = 0.0
        elif isinstance(module, nn.Dropout):
            module.p = 0.0
    return with_fixed(net) if fixed else by_group(net)


def _infos(net: Any) -> list[dict[str, Any]]:
    info = net.feature_info
    return list(info if isinstance(info, list) else info.info)


def _projection(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), norm(c_out))


def _sized(map_BCHW: Tensor, height: int, width: int) -> Tensor:
    if map_BCHW.shape[-2:] == (height, width):
        return map_BCHW
    return F.interpolate(map_BCHW, (height, width), mode="bilinear", align_corners=False)
