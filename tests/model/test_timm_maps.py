"""Maps beside those of ``timm.create_model(features_only=True)``, with each way in which the picture can be shown."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor

from raytune_planes.config import Backbone
from raytune_planes.model import build_encoder
from raytune_planes.model.backbones import as_trained

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # what these libraries say of themselves


def encoder(kind: str, enlarge: int, weights: str = "pretrained") -> Any:
    """With fixed statistics, and random weights until it takes others."""
    torch.manual_seed(0)
    settings = Backbone.model_validate({"kind": kind, "width": 8, "weights": weights, "enlarge": enlarge})
    return build_encoder(settings).eval()


def timms_own(made: Any, pixels_BCHW: Tensor) -> list[Tensor]:
    """timm's features of every stage, [B, C, H, W], with the weights of ``made``.

    They come by another path than the pyramid's own: timm takes the stages out of the network in their order.
    """
    options = {"strict_img_size": False} if "swin" in made.name else {}
    net = timm.create_model(made.name, pretrained=False, features_only=True, **options).eval()
    flat = {name.replace(".", "_"): value for name, value in made.net.state_dict().items()}  # as its stages' names are
    wanted = [name for name in net.state_dict() if not name.endswith("num_batches_tracked")]
    net.load_state_dict({name: flat[name.replace(".", "_")] for name in wanted}, strict=False)
    found = net(pixels_BCHW)
    return [map_BHWC.permute(0, 3, 1, 2) for map_BHWC in found] if "swin" in made.name else found


def as_seen(made: Any, image_BCHW: Tensor, enlarge: int) -> Tensor:
    """What timm's network is shown: in its own statistics, and ``enlarge`` times as large."""
    pixels_BCHW = as_trained(image_BCHW, made._mean, made._deviation)
    size = [enlarge * side for side in image_BCHW.shape[-2:]]
    return F.interpolate(pixels_BCHW, size, mode="bilinear")


@pytest.mark.parametrize("enlarge", [1, 2])
@pytest.mark.parametrize("kind", ["efficientnet_lite0", "resnet18", "convnext_tiny"])
@torch.no_grad()
def test_maps_have_the_strides_of_the_encoder_on_the_picture_that_it_sees(kind: str, enlarge: int) -> None:
    """Without enlarging, the coarsest map of a picture of 64 px has 2 places a side; enlarged twice, 4."""
    made = encoder(kind, enlarge)
    if kind == "efficientnet_lite0":
        made.take("pretrained")
    image_BCHW = torch.randn(2, 3, 64, 96)
    theirs = timms_own(made, as_seen(made, image_BCHW, enlarge))
    mine = made.maps(image_BCHW)
    shapes = {i: tuple(map_BCHW.shape[-2:]) for i, map_BCHW in mine.items()}
    first = 4 if kind == "convnext_tiny" else 2
    strides = [s for s in (2, 4, 8, 16, 32) if s >= first]
    on_picture = {i: stride // enlarge for i, stride in enumerate(strides) if stride // enlarge >= 2}
    assert shapes == {i: (64 // stride, 96 // stride) for i, stride in on_picture.items()}
    assert max(mine) == len(theirs) - 1, "the last stage is among them"
    for index, found_BCHW in mine.items():
        torch.testing.assert_close(found_BCHW, theirs[index], rtol=1e-4, atol=1e-4)
    assert [tuple(m.shape[1:]) for m in made(image_BCHW)] == [(8, 32, 48), (16, 16, 24), (32, 8, 12)]


@pytest.mark.parametrize(("height", "width", "enlarge"), [(192, 192, 1), (96, 96, 2), (192, 128, 1), (128, 192, 1)])
@torch.no_grad()
def test_swin_at_192_px_gives_timms_own_maps_with_channels_first(height: int, width: int, enlarge: int) -> None:
    """timm's maps have channels last, and Swin was made for 224 px: no axis may be taken for another."""
    made = encoder("swin_t", enlarge)
    image_BCHW = torch.randn(1, 3, height, width)
    theirs = timms_own(made, as_seen(made, image_BCHW, enlarge))
    mine = made.maps(image_BCHW)
    assert list(mine) == [0, 1, 2, 3]
    for index, found_BCHW in mine.items():
        stride = 4 * 2**index // enlarge
        assert tuple(found_BCHW.shape) == (1, 96 * 2**index, height // stride, width // stride)
        torch.testing.assert_close(found_BCHW, theirs[index], rtol=1e-4, atol=1e-4)
