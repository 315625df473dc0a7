"""The part that paints hidden patches: there when asked for, free when not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raytune_planes.network import Network
from tests.toy import INFOS, SIDE, toy_config

ASKED = {"losses__reconstruction__weight": 0.5}


def make(**settings: object) -> Network:
    torch.manual_seed(0)
    return Network(INFOS, toy_config(**settings), text_width=12)


def inputs(height: int = SIDE, width: int = SIDE) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    hidden_BHW = torch.rand(3, height, width, generator=generator) < 0.5
    return torch.randn(3, 3, height, width, generator=generator), hidden_BHW


def test_at_weight_zero_the_model_has_no_further_weight_and_hides_nothing() -> None:
    plain, asked = make(), make(**ASKED)
    extra = asked.state_dict().keys() - plain.state_dict().keys()
    assert extra == {"painter.pixels.weight", "painter.pixels.bias"}
    assert all(torch.equal(value, asked.state_dict()[name]) for name, value in plain.state_dict().items())
    passes = []
    plain.backbone.register_forward_hook(lambda *_: passes.append(1))
    assert "reconstruction" not in plain("fgvc", *inputs())
    assert len(passes) == 1


def test_what_is_hidden_changes_no_other_output() -> None:
    model, (image_BCHW, hidden_BHW) = make(**ASKED).eval(), inputs()
    with_hidden, without = model("hrplanes", image_BCHW, hidden_BHW), model("hrplanes", image_BCHW)
    assert without["reconstruction"] is None
    assert torch.equal(with_hidden["classification"].logits_BK, without["classification"].logits_BK)
    assert torch.equal(with_hidden["segmentation"], without["segmentation"])


@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 24)])
def test_a_painting_has_the_size_of_its_picture_and_starts_near_the_cover(height: int, width: int) -> None:
    says = make(**ASKED)("planesnet", *inputs(height, width))["reconstruction"]
    assert says.painted_BCHW.shape == (3, 3, height, width)
    assert (says.painted_BCHW - says.covered_BCHW).abs().mean() < 0.2


def test_hidden_pixels_have_no_part_in_the_painting() -> None:
    model, (image_BCHW, hidden_BHW) = make(**ASKED).eval(), inputs()
    other_BCHW = torch.where(hidden_BHW[:, None], image_BCHW.flip(0) + 1, image_BCHW)
    one, other = (model("fgvc", image, hidden_BHW)["reconstruction"].painted_BCHW for image in (image_BCHW, other_BCHW))
    torch.testing.assert_close(one, other)


def test_the_painting_trains_the_shared_encoder() -> None:
    model, (image_BCHW, hidden_BHW) = make(**ASKED), inputs()
    with torch.no_grad():
        model.painter.pixels.weight.normal_()  # type: ignore[union-attr]
    model("fgvc", image_BCHW, hidden_BHW)["reconstruction"].painted_BCHW.abs().sum().backward()
    grown = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert grown >= {"backbone", "painter"}
    assert not grown & {"heads", "decoder", "projection"}
