"""Networks of other libraries as pyramids: shapes, gradients, freezing, and weights from files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from raytune_planes.config import Backbone
from raytune_planes.errors import UserError
from raytune_planes.model import BACKBONES
from raytune_planes.model.backbones import Pyramid
from raytune_planes.network import Network
from tests.toy import INFOS, toy_config

BORROWED = tuple(kind for kind in BACKBONES if kind != "residual")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # what these libraries say of themselves


@cache
def built(kind: str) -> Pyramid:
    """Shared by the tests that leave it as it is: some have 86 million parameters."""
    torch.manual_seed(0)
    return BACKBONES[kind](Backbone(kind=kind, width=8))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", BORROWED)
def test_it_makes_maps_at_strides_2_4_and_8_and_all_that_is_trained_takes_part(kind: str) -> None:
    backbone = built(kind)
    maps = backbone(torch.randn(2, 3, 24, 40))
    assert [tuple(m.shape) for m in maps] == [
        (2, c, 24 // s, 40 // s) for c, s in zip((8, 16, 32), (2, 4, 8), strict=True)
    ]
    sum(m.square().mean() for m in maps).backward()
    idle = [name for name, p in backbone.named_parameters() if p.requires_grad and p.grad is None]
    backbone.zero_grad(set_to_none=True)
    assert not idle
    of_layers = {p for layer in backbone.layers for p in layer.parameters()}
    assert of_layers <= set(backbone.parameters())
    assert len(backbone.layers) >= 3


@pytest.mark.parametrize("kind", ["resnet18", "densenet121", "efficientnet_b1", "swin_t"])
@torch.no_grad()
def test_an_image_is_seen_alike_whatever_shares_its_batch(kind: str) -> None:
    backbone, image_BCHW = built(kind), torch.randn(3, 3, 24, 24)
    alone = backbone(image_BCHW[:1])[-1]
    together = backbone(image_BCHW * torch.tensor([1.0, 9.0, 9.0]).view(-1, 1, 1, 1))[-1]
    torch.testing.assert_close(alone, together[:1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(backbone.eval()(image_BCHW)[-1], backbone.train()(image_BCHW)[-1])


def test_a_frozen_network_trains_its_projections_only_and_makes_masks() -> None:
    config = toy_config(model__backbone__kind="mobilenet_v2", model__backbone__freeze=True)
    model = Network(INFOS, config, 12)
    output = model("hrplanes", torch.randn(2, 3, 16, 16))
    assert output["segmentation"].shape == (2, 16, 16)
    (output["classification"].logits_BK.sum() + output["segmentation"].sum()).backward()
    moving = {name.split(".")[0] for name, p in model.backbone.named_parameters() if p.grad is not None}
    assert moving == {"projections"}


@cache
def mobilenet(folder: Path) -> Path:
    from torchvision import models

    torch.manual_seed(7)
    torch.save(models.mobilenet_v2(weights=None).state_dict(), folder / "mobilenet.pth")
    return folder / "mobilenet.pth"


def test_weights_of_a_file_are_taken(tmp_path: Path) -> None:
    path = mobilenet(tmp_path)
    backbone = BACKBONES["mobilenet_v2"](Backbone(kind="mobilenet_v2", width=8, weights=str(path)))
    backbone.load_weights(str(path))
    state, own = torch.load(path, weights_only=True), backbone.state_dict()
    assert torch.equal(own["stages.0.0.0.weight"], state["features.0.0.weight"])
    last = [value for key, value in own.items() if key.startswith("stages.2.") and key.endswith("conv.3.running_var")]
    assert any(torch.equal(value, state["features.13.conv.3.running_var"]) for value in last)
    network = [value for key, value in own.items() if key.startswith("stages.")]
    assert all(any(torch.equal(value, other) for other in state.values()) for value in network)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("mobilenet_v2", "for mobilenet_v2 is no file; 'random' needs no file"),
        ("clip", "for clip is no folder with config.json and model.safetensors; 'random' needs no file"),
        ("residual", "for residual does not exist: nobody has published any"),
    ],
)
def test_a_missing_file_is_named(kind: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"model\.backbone\.weights = 'gone' {message}"):
        built(kind).load_weights("gone")


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    path = mobilenet(tmp_path)
    with pytest.raises(UserError, match=r"for resnet18 lacks \d+ of the weights of torchvision's resnet18"):
        built("resnet18").load_weights(str(path))
    path.write_bytes(b"no weights at all")
    with pytest.raises(UserError, match="for resnet18 holds no weights of torchvision's resnet18"):
        built("resnet18").load_weights(str(path))


def test_a_download_that_fails_names_the_file_and_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", nowhere)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=rf"put the file resnet18-.*\.pth of torchvision into {tmp_path}/hub"):
        built("resnet18").load_weights("pretrained")


def test_a_tower_that_is_not_in_the_cache_says_how_to_fetch_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("transformers.utils.hub.is_offline_mode", lambda: True, raising=False)
    with pytest.raises(UserError, match=r"hf download facebook/dinov2-base"):
        built("dinov2").load_weights("pretrained")


def test_weights_and_freezing_are_for_borrowed_networks() -> None:
    with pytest.raises(UserError, match=r"model\.backbone\.weights = 'pretrained' is for networks of other libraries"):
        toy_config(model__backbone__weights="pretrained")
    with pytest.raises(UserError, match=r"model\.backbone\.freeze is for networks of other libraries"):
        toy_config(model__backbone__freeze=True)
