"""Files of weights: what is taken, and what is refused by name."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer

from raytune_planes.config import Backbone
from raytune_planes.errors import UserError
from raytune_planes.model import build_encoder

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # what these libraries say of themselves
VIT, SMALL = "timm/vit_tiny_patch16_224", "timm/mobilenetv3_small_050"


@cache
def built(kind: str) -> Any:
    return build_encoder(Backbone(kind=kind, width=8, weights="file"))


@cache
def state(name: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return dict(timm.create_model(name, pretrained=False, num_classes=5).state_dict())


def refused(kind: str, content: Any, folder: Path, told: str) -> None:
    torch.save(content, folder / "net.pth")
    with pytest.raises(UserError, match=re.escape(told)):
        built(kind).load_weights(str(folder / "net.pth"))


def test_a_transformer_with_other_patches_is_refused_though_timm_would_resample_them(tmp_path: Path) -> None:
    other = VisionTransformer(img_size=224, patch_size=32, embed_dim=192, depth=12, num_heads=3, num_classes=5)
    refused(VIT, other.state_dict(), tmp_path, "its patches have another size (patch_embed.proj.weight)")


def test_a_transformer_of_another_picture_size_is_taken_with_positions_resampled(tmp_path: Path) -> None:
    other = VisionTransformer(img_size=160, patch_size=16, embed_dim=192, depth=12, num_heads=3, num_classes=5)
    torch.save(other.state_dict(), tmp_path / "net.pth")
    built(VIT).load_weights(str(tmp_path / "net.pth"))
    net = built(VIT).net
    assert torch.equal(net.patch_embed.proj.weight, other.patch_embed.proj.weight)
    assert net.pos_embed.shape == (1, 197, 192)


def test_registers_of_a_dinov2_file_are_named_where_the_network_has_none(tmp_path: Path) -> None:
    more = {"mask_token": torch.zeros(1, 192), "register_tokens": torch.zeros(1, 4, 192)}
    refused(VIT, {**state("vit_tiny_patch16_224"), **more}, tmp_path, "are unknown to it (mask_token, register_tokens)")


def test_a_tensor_beside_the_table_of_weights_is_named(tmp_path: Path) -> None:
    content = {"model": state("mobilenetv3_small_050"), "reg_token": torch.zeros(4), "epoch": torch.tensor(3)}
    refused(SMALL, content, tmp_path, "1 are unknown to it (reg_token)")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.fill_(torch.nan), "holds values that are not finite (conv_stem.weight)"),
        (lambda t: t.long(), "1 have another type (conv_stem.weight)"),
        (lambda t: t.to(torch.complex64), "1 have another type (conv_stem.weight)"),
    ],
)
def test_a_tensor_that_holds_no_weights_is_named(tmp_path: Path, change: Any, told: str) -> None:
    own = state("mobilenetv3_small_050")
    refused(SMALL, {**own, "conv_stem.weight": change(own["conv_stem.weight"].clone())}, tmp_path, told)


def test_the_published_names_of_a_densenet_are_taken(tmp_path: Path) -> None:
    """torchvision's file has ``denselayer1.norm.1.weight`` for ``denselayer1.norm1.weight``."""
    own = state("densenet121")
    published = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): t for name, t in own.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in published
    torch.save(published, tmp_path / "net.pth")
    built("densenet121").load_weights(str(tmp_path / "net.pth"))
    taken = built("densenet121").net.state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in taken.items())


def test_weights_that_were_never_published_are_refused_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"'vit_tiny_patch16_224' has no weights called 'gone' \(there are: .*augreg"):
        build_encoder(Backbone(kind=f"{VIT}.gone", width=8))
