"""Files of weights: what is taken, and what is refused by name."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

from raytune_planes.config import Backbone
from raytune_planes.errors import UserError
from raytune_planes.model import build_encoder

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # what these libraries say of themselves
VIT, SMALL, CLIP = "timm/vit_tiny_patch16_224", "timm/mobilenetv3_small_050", "timm/vit_xsmall_patch16_clip_224"


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


def plain_transformer(folder: Path) -> Path:
    """A folder of a ViT of the size of ``CLIP`` in timm's names; it has no norm before its blocks."""
    net = VisionTransformer(img_size=224, patch_size=16, embed_dim=256, depth=10, num_heads=8, num_classes=5)
    save_file(net.state_dict(), folder / "model.safetensors")
    return folder


def transformers_folder(folder: Path) -> Path:
    """The same, as the library transformers writes it."""
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 256, "num_hidden_layers": 10, "num_attention_heads": 8, "intermediate_size": 1024}
    ViTModel(ViTConfig(**sizes)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (
            plain_transformer,
            "2 are absent (norm_pre.bias, norm_pre.weight); 1 are unknown to it (patch_embed.proj.bias)",
        ),
        (transformers_folder, "168 are unknown to it (embeddings.cls_token, embeddings.patch_embeddings.projection.bi"),
    ],
)
def test_a_folder_of_a_plain_transformer_is_no_clip(tmp_path: Path, written: Any, told: str) -> None:
    before = {name: value.clone() for name, value in built(CLIP).net.state_dict().items()}
    with pytest.raises(UserError, match=re.escape(told)) as refusal:
        built(CLIP).load_weights(str(written(tmp_path)))
    assert str(refusal.value).startswith(
        f"model.backbone.weights = '{tmp_path}' for {CLIP} holds weights of another network"
    )
    assert "; give a file of timm's 'vit_xsmall_patch16_clip_224', or set model.backbone.kind to" in str(refusal.value)
    assert all(torch.equal(value, before[name]) for name, value in built(CLIP).net.state_dict().items())


def test_a_folder_of_the_same_clip_is_taken(tmp_path: Path) -> None:
    own = state("vit_xsmall_patch16_clip_224")
    save_file(own, tmp_path / "model.safetensors")
    built(CLIP).load_weights(str(tmp_path))
    assert all(torch.equal(value, own[name]) for name, value in built(CLIP).net.state_dict().items())


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of ``SMALL``'s weights in a hub's cache, as the hub lays it out; there is no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = built(SMALL).net.pretrained_cfg["hf_hub_id"]
    root, commit = tmp_path / f"models--{repository.replace('/', '--')}", "1" * 40
    for folder in ("blobs", "refs", f"snapshots/{commit}"):
        (root / folder).mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    save_file(state("mobilenetv3_small_050"), root / "new")
    blob = root / "blobs" / hashlib.sha256((root / "new").read_bytes()).hexdigest()
    (root / "new").rename(blob)
    file = root / "snapshots" / commit / "model.safetensors"
    file.symlink_to(blob)
    return file


def test_weights_of_the_hubs_cache_are_taken_where_their_hash_is_the_published_one(snapshot: Path) -> None:
    built(SMALL).load_weights("pretrained")
    own = state("mobilenetv3_small_050")
    assert snapshot.is_file()
    assert all(torch.equal(value, own[name]) for name, value in built(SMALL).net.state_dict().items())


def test_weights_of_the_hubs_cache_with_another_hash_are_refused_by_name(snapshot: Path) -> None:
    """A single bit of a weight: the file can be read, and every tensor has its name and shape."""
    blob = snapshot.resolve()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    told = rf"is damaged: \S*{blob.name} has SHA-256 {found[:8]}\.\.\., expected {blob.name[:8]}\.\.\.; remove it and"
    with pytest.raises(UserError, match=told):
        built(SMALL).load_weights("pretrained")


def test_weights_of_a_cache_that_was_copied_without_its_links_are_refused_with_what_to_do(snapshot: Path) -> None:
    """A copy has no name that tells its hash: nothing could be checked."""
    content = snapshot.read_bytes()
    snapshot.unlink()
    snapshot.write_bytes(content)
    with pytest.raises(
        UserError, match=r"cannot be checked: \S*model\.safetensors is no link .*'hf download timm/mobil"
    ):
        built(SMALL).load_weights("pretrained")
    built(SMALL).load_weights(str(snapshot))  # as the message says


@pytest.mark.parametrize(
    ("name", "why"), [("w.pth", "holds more than tensors"), ("w.safetensors", "no whole safetensors")]
)
def test_a_file_of_other_bytes_is_refused_in_our_words(name: str, why: str, tmp_path: Path) -> None:
    """torch itself advises to open it without safety."""
    (tmp_path / name).write_bytes(bytes(range(7, 250)) * 40)
    with pytest.raises(UserError, match=why) as told:
        build_encoder(Backbone(kind="efficientnet_lite0", weights="pretrained")).load_weights(str(tmp_path / name))
    assert "weights_only" not in str(told.value)
