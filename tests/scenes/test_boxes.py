"""A detector's boxes in a scene: from tiles to the picture, each plane once, told only by models that learnt them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.datasets.images import Picture
from raytune_planes.scenes.boxes import detected
from raytune_planes.scenes.grid import Grid
from raytune_planes.serving import Predictor
from raytune_planes.serving.answers import answer
from raytune_planes.tasks.detection.detector import REACH, detections
from tests.scenes.trained import trained
from tests.serving.test_answers import scene

SIDE, STEP = 32, 4
Boxes = list[tuple[float, float, float, float]]


def grid(width: int = 256, height: int = 192) -> Grid:
    return Grid.of(Picture(Image.new("RGB", (width, height)), width, height), SIDE * STEP, SIDE)


def cells(of: Grid, planes: Boxes, logit: float = 3.0) -> torch.Tensor:
    """What a perfect detector says of every tile: a plane's part in the tile, from the cell in the part's middle."""
    out = torch.zeros(len(of.windows), 5, SIDE // 4, SIDE // 4)
    out[:, 0] = -8
    for tile, (left, top, right, bottom) in zip(out, of.windows, strict=True):
        for plane in planes:
            x0, y0, x1, y1 = (value / STEP for value in plane)
            x0, y0, x1, y1 = max(x0, left) - left, max(y0, top) - top, min(x1, right) - left, min(y1, bottom) - top
            if x1 - x0 < 1 or y1 - y0 < 1:
                continue
            column, row = int((x0 + x1) / 8), int((y0 + y1) / 8)
            x, y = 4 * column + 2, 4 * row + 2
            whole = (x1 - x0) * (y1 - y0) * STEP**2 / ((plane[2] - plane[0]) * (plane[3] - plane[1]))
            reach = torch.tensor([x - x0, y - y0, x1 - x, y1 - y]).clamp_min(0.1) / (4 * REACH)
            tile[:, row, column] = torch.cat([torch.tensor([logit - 1 + whole]), reach.log()])
    return out


def test_a_plane_that_several_tiles_see_is_told_once_and_whole() -> None:
    of, planes = grid(), [(20.0, 30.0, 60.0, 62.0), (100.0, 84.0, 152.0, 124.0), (210.0, 150.0, 250.0, 186.0)]
    assert len(of.windows) == 6
    found = detected(*detections(cells(of, planes)), of)
    assert len(found) == 3
    for plane in planes:
        (box,) = [box for box, _ in found if abs(box[0] - plane[0]) < 20]
        assert box == pytest.approx(plane, abs=1)
    assert all(score == pytest.approx(1 / (1 + np.exp(-3)), rel=1e-4) for _, score in found)


def test_a_plane_larger_than_what_tiles_share_is_still_told() -> None:
    of = grid()
    ((box, _),) = detected(*detections(cells(of, [(20.0, 10.0, 140.0, 120.0)])), of)
    assert box == pytest.approx((20, 10, 128, 120), abs=1)  # as far as the surest tile sees it


def test_boxes_come_surest_first_and_none_that_is_unsure() -> None:
    of = grid(128, 128)
    sure = cells(of, [(20.0, 30.0, 60.0, 62.0)]) + 0
    unsure = cells(of, [(80.0, 80.0, 110.0, 110.0)], logit=-0.5)
    both = torch.where(sure[:, :1] > unsure[:, :1], sure, unsure)
    assert len(detected(*detections(both), of)) == 1
    scores = [score for _, score in detected(*detections(both + torch.tensor([1.0, 0, 0, 0, 0])[:, None, None]), of)]
    assert len(scores) == 2
    assert scores[0] > scores[1] > 0.5


@pytest.fixture(scope="module")
def boxing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``best.pt`` of a tiny model that learnt the toy datasets' boxes, too."""
    return trained(tmp_path_factory.mktemp("boxing"), "detection", "ap50")


def test_a_trained_model_boxes_the_plane_of_a_scene(boxing: Path) -> None:
    source, (left, top, right, bottom) = scene()
    told = answer(Predictor.load(boxing), source)
    assert told.boxes
    (x0, y0, x1, y1), score = told.boxes[0]
    assert x0 <= (left + right) / 2 <= x1
    assert y0 - 4 <= (top + bottom) / 2 <= y1 + 4
    assert 0.5 <= score <= 1
    assert told.to_dict()["boxes"][0] == {"box": [x0, y0, x1, y1], "score": score}


def test_boxes_are_listed_in_words(boxing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scene.png").write_bytes(scene()[0])
    assert main(["predict", str(boxing), str(tmp_path / "scene.png")]) == 0
    told = answer(Predictor.load(boxing), tmp_path / "scene.png").boxes or ()
    said = capsys.readouterr().out
    assert said.count("  plane in ") == len(told) > 0
    assert f"{told[0][1]:7.4f}  plane in {', '.join(f'{x:.0f}' for x in told[0][0])}" in said


def test_a_model_that_learnt_no_boxes_tells_none(weights: Path) -> None:
    told = answer(Predictor.load(weights), scene()[0])
    assert told.boxes is None
    assert "boxes" not in told.to_dict()
