"""Oriented boxes in whole scenes: from tiles to the picture, judged by an oracle and by hand, told by predict."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from raytune_planes.cli import main
from raytune_planes.datasets import cache
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.hrplanes import HRPlanes, Scene, write
from raytune_planes.datasets.images import Picture
from raytune_planes.datasets.oriented import boxes_of, corners_of, hulls, within
from raytune_planes.scenes.grid import Grid
from raytune_planes.scenes.oriented import SIZE, detected_oriented, judged_oriented, oriented_scene_metrics
from raytune_planes.serving import Predictor
from raytune_planes.serving.answers import answer
from raytune_planes.tasks.prediction import Prediction
from raytune_planes.training.scene_evaluation import SceneEvaluation
from raytune_planes.training.workers import LocalWorker
from tests.scenes.trained import trained
from tests.serving.test_answers import scene

PLANES = ((50.0, 60.0, 44.0, 20.0, 0.5), (128.0, 100.0, 60.0, 30.0, -1.0), (215.0, 160.0, 40.0, 36.0, 1.3))
"""x, y, w, h, angle in a scene of 256 x 192."""


def corners(*boxes: tuple[float, ...]) -> Tensor:
    return corners_of(torch.tensor(boxes, dtype=torch.float64))


def tiles(grid: Grid, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """What a perfect detector says of every tile: the part of each plane in it, surer the more of the plane it sees."""
    logits, found = [], []
    for left, top, right, bottom in grid.windows:
        own = (boxes / grid.step - torch.tensor([left, top] * 4)) / torch.tensor([right - left, bottom - top] * 4)
        seen = within(own, torch.tensor([0.0, 0.0, 1.0, 1.0]))
        area = [each[:, 2] * each[:, 3] for each in (boxes_of(seen), boxes_of(own))]
        logits.append(torch.where(area[0] > 0.02 * area[1], 2 + area[0] / area[1], -torch.inf))
        found.append(seen)
    return torch.stack(logits), torch.stack(found)


def test_a_plane_that_several_tiles_see_is_told_once_and_whole() -> None:
    grid = Grid.of(Picture(Image.new("RGB", (256, 192)), 256, 192), 128, 32)
    assert len(grid.windows) == 6
    found = detected_oriented(*tiles(grid, corners(*PLANES)), grid)
    told = boxes_of(torch.tensor([each for each, _ in found]))
    torch.testing.assert_close(told[told[:, 0].argsort()], torch.tensor(PLANES, dtype=told.dtype), rtol=0, atol=1e-2)
    assert all(score == pytest.approx(1 / (1 + math.exp(-3))) for _, score in found)


def test_planes_side_by_side_at_an_angle_are_two_although_their_upright_boxes_meet() -> None:
    ahead = np.array([math.cos(0.8), math.sin(0.8)])
    aside = np.array([-ahead[1], ahead[0]]) * 21
    pair = [(*(np.array([120.0, 100.0]) + way * aside / 2), 60.0, 20.0, 0.8) for way in (-1, 1)]
    grid = Grid.of(Picture(Image.new("RGB", (256, 192)), 256, 192), 192, 48)
    upright = hulls(corners(*pair))
    shared = torch.minimum(upright[0, 2:], upright[1, 2:]) - torch.maximum(upright[0, :2], upright[1, :2])
    assert shared.prod() > 0.5 * (upright[0, 2:] - upright[0, :2]).prod()
    assert len(detected_oriented(*tiles(grid, corners(*pair)), grid)) == 2


def test_scenes_are_judged_as_worked_by_hand() -> None:
    square, other = corners((30.0, 30.0, 20.0, 20.0, 0.0)), corners((80.0, 30.0, 20.0, 20.0, 0.0))
    turned = corners((80.0, 30.0, 20.0, 20.0, math.pi / 4))  # shares sqrt(1/2) with the other
    told = [(tuple(square[0].tolist()), 0.9), (tuple(turned[0].tolist()), 0.8)]
    rows = torch.stack(
        [
            judged_oriented(told, torch.cat([square, other]).numpy(), 100, 60),  # type: ignore[arg-type]
            judged_oriented([], np.zeros((0, 8)), 100, 60),
        ]
    )
    assert rows.shape == (2, SIZE)
    found = oriented_scene_metrics(rows)
    assert found["scene_oriented_ap50"] == 1
    assert found["scene_oriented_map"] == pytest.approx((5 * 1 + 5 * 51 / 101) / 10)
    assert oriented_scene_metrics(judged_oriented(None, np.zeros((0, 8)), 100, 60)[None]) == {}


def drawn(folder: Path) -> Arrays:
    turned = corners(*PLANES)
    boxes, sides = (tuple(map(tuple, each.tolist())) for each in (hulls(turned), turned))
    pixels = np.zeros((192, 256, 3), np.uint8)
    write(folder / "data", [Scene(split, pixels, boxes, split, sides) for split in ("train", "val", "test")])
    return cache.decode(HRPlanes(folder / "data", name="hrplanes", image_size=32, tile=128), folder / "cache")


@pytest.mark.parametrize(("turn", "expected"), [(0.0, 1.0), (0.5, None)])
def test_an_oracle_finds_all_planes_of_a_scene_and_wrong_angles_cost(
    tmp_path: Path, turn: float, expected: float | None
) -> None:
    arrays = drawn(tmp_path)
    assert arrays.scenes is not None
    kept = boxes_of(torch.from_numpy(np.array(arrays.scenes.corners(0))))
    torch.testing.assert_close(kept, torch.tensor(PLANES, dtype=torch.float64), rtol=0, atol=1e-2)
    grid = Grid(arrays.scenes.image(0), 4.0, 32, 256, 192)
    logit, found = tiles(grid, corners(*[(*box[:4], box[4] + turn) for box in PLANES]))

    def oracle(dataset: str, image_BCHW: Tensor) -> Prediction:
        assert len(image_BCHW) == len(grid.windows)
        return Prediction(mask_BHW=image_BCHW[:, 0] * 0, oriented_logit_BN=logit, oriented_BN8=found)

    metrics = SceneEvaluation({"hrplanes": arrays}, oracle, LocalWorker()).run("val")
    if expected is not None:
        assert metrics["val/hrplanes/scene_oriented_ap50"] == metrics["val/hrplanes/scene_oriented_map"] == expected
    else:
        assert 0.05 < metrics["val/hrplanes/scene_oriented_map"] < 0.7


def test_a_model_without_the_task_has_no_such_figure(tmp_path: Path) -> None:
    def blank(dataset: str, image_BCHW: Tensor) -> Prediction:
        return Prediction(mask_BHW=image_BCHW[:, 0] * 0)

    metrics = SceneEvaluation({"hrplanes": drawn(tmp_path)}, blank, LocalWorker()).run("val")
    assert "val/hrplanes/scene_ap50" in metrics
    assert not [key for key in metrics if "oriented" in key]


@pytest.fixture(scope="module")
def turning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``best.pt`` of a tiny model that learnt the toy datasets' boxes as oriented ones."""
    return trained(tmp_path_factory.mktemp("turning"), "oriented_detection", "oriented_ap50")


def test_predict_tells_the_corners_in_words_and_as_json_and_draws_them(
    turning: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from raytune_planes.serving.overlay import TURNED, draw

    source, (left, top, right, bottom) = scene()
    told = answer(Predictor.load(turning), source)
    assert told.oriented
    assert told.count is not None
    assert (told.count.planes, told.count.by) == (len(told.oriented), "oriented detections")
    plane, score = told.oriented[0]
    x0, y0, x1, y1 = hulls(torch.tensor(plane)).tolist()
    assert x0 < right
    assert left < x1
    assert y0 < bottom
    assert top < y1
    plain = json.loads(json.dumps(told.to_dict()))["oriented"]
    assert plain["planes"][0] == {"corners": list(plane), "score": score}
    assert plain["learnt_from"] == "upright boxes"
    assert (np.asarray(draw(told, source)) == TURNED).all(2).sum() > 20
    (tmp_path / "scene.png").write_bytes(source)
    assert main(["predict", str(turning), str(tmp_path / "scene.png")]) == 0
    said = capsys.readouterr().out
    assert said.count("  plane with corners (") == len(told.oriented)
    assert f"({plane[0]:.0f}, {plane[1]:.0f}) ({plane[2]:.0f}, {plane[3]:.0f})" in said
    assert "(learnt from upright boxes)" in said
