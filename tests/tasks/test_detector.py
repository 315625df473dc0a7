"""The detector: there when asked for, free when not; overlaps and what is left of boxes that tell the same."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from raytune_planes.network import Network
from raytune_planes.tasks.detection.detector import decoded, detections, giou, iou
from tests.toy import INFOS, SIDE, toy_config

ASKED = {"losses__detection__weight": 0.5}


def make(**settings: object) -> Network:
    torch.manual_seed(0)
    return Network(INFOS, toy_config(**settings), text_width=12)


def test_at_weight_zero_the_model_has_no_further_weight() -> None:
    plain, asked = make(), make(**ASKED)
    extra = asked.state_dict().keys() - plain.state_dict().keys()
    assert {name.split(".")[0] for name in extra} == {"detector"}
    assert all(torch.equal(value, asked.state_dict()[name]) for name, value in plain.state_dict().items())
    assert "detection" not in plain("hrplanes", torch.randn(1, 3, SIDE, SIDE))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 24)])
def test_only_datasets_with_boxes_are_searched_at_stride_4(height: int, width: int) -> None:
    model = make(**ASKED)
    for name, info in INFOS.items():
        cells = model(name, torch.randn(3, 3, height, width)).get("detection")
        assert (None if cells is None else cells.shape) == ((3, 5, height // 4, width // 4) if info.has_boxes else None)


def test_without_such_a_dataset_there_is_no_detector() -> None:
    assert not hasattr(Network({"fgvc": INFOS["fgvc"]}, toy_config(**ASKED), text_width=12), "detector")


def test_an_untrained_detector_tells_boxes_about_its_cells() -> None:
    logit_BN, boxes_BN4 = decoded(make(**ASKED)("hrplanes", torch.randn(2, 3, 32, 32))["detection"])
    assert logit_BN.shape == (2, 64)
    assert (logit_BN < 0).float().mean() > 0.9
    assert (boxes_BN4[..., 2:] > boxes_BN4[..., :2]).all()


def corners(values: list[float]) -> Tensor:
    x0, y0, w, h = values
    return torch.tensor([x0, y0, x0 + w, y0 + h])


BOX = st.lists(st.floats(0.05, 1), min_size=4, max_size=4).map(corners)


@given(BOX, BOX)
def test_overlaps_are_symmetric_and_giou_lies_below_iou(one: Tensor, other: Tensor) -> None:
    plain, general = iou(one[None, None], other[None, None]).item(), giou(one, other).item()
    assert plain == pytest.approx(iou(other[None, None], one[None, None]).item(), abs=1e-6)
    assert 0 <= plain <= 1 + 1e-6
    assert -1 < general <= plain + 1e-5
    assert giou(one, one).item() == pytest.approx(1, abs=1e-5)


def test_overlaps_are_those_worked_by_hand() -> None:
    one, other = torch.tensor([0.0, 0, 2, 2]), torch.tensor([1.0, 0, 3, 2])
    assert iou(one[None, None], other[None, None]).item() == pytest.approx(1 / 3)
    apart = torch.tensor([3.0, 0, 4, 2])
    assert giou(one, apart).item() == pytest.approx(0 - (8 - 6) / 8)
    assert iou(torch.zeros(1, 1, 4), one[None, None]).item() == 0


def test_the_surest_of_boxes_that_tell_the_same_stays() -> None:
    cells = torch.zeros(1, 5, 8, 8)
    cells[:, 0] = -5
    cells[0, 0, 3, 3], cells[0, 0, 3, 4], cells[0, 0, 0, 7] = 2, 3, 1
    logit_BK, boxes_BK4 = detections(cells)
    assert logit_BK[0, :3].tolist() == [3, -torch.inf, 1]  # neighbours overlap by 3/5, the third stands apart
    assert boxes_BK4[0, 0].tolist() == pytest.approx([4.5 / 8 - 0.25, 3.5 / 8 - 0.25, 4.5 / 8 + 0.25, 3.5 / 8 + 0.25])
    assert (boxes_BK4 >= 0).all()
    assert (boxes_BK4 <= 1).all()
    left = boxes_BK4[0][logit_BK[0] > -torch.inf]
    assert (iou(left[None], left[None])[0].fill_diagonal_(0) <= 0.5).all()
