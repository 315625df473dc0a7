"""Figures of whole scenes, worked by hand and by COCO's own code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raytune_planes.scenes.boxes import SURE
from raytune_planes.scenes.grid import Scored
from raytune_planes.scenes.score import SIZE, drawn, judged, scene_metrics
from tests.tasks.test_coco import pictures, reference

EMPTY = np.zeros((0, 4))
NOTHING = np.zeros((4, 4))


def test_figures_of_three_scenes_worked_by_hand() -> None:
    plane, other = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 30.0, 30.0)
    beside = (0.0, 0.0, 10.0, 6.0)  # overlaps a plane by 0.6: right at 0.5, 0.55 and 0.6
    mask, half = np.zeros((4, 4)), np.zeros((4, 4))
    mask[:2], half[:2, :2] = 1.0, 0.9
    rows = torch.stack(
        [
            judged([(plane, 0.9), (other, 0.2)], 1, np.array([plane, other]), half, mask),
            judged([(beside, 0.8), (other, 0.7)], 2, np.array([plane]), mask, mask),
            judged([], 0, EMPTY, NOTHING, NOTHING),
        ]
    )
    assert rows.shape == (3, SIZE)
    found = scene_metrics(rows)
    assert found["scene_iou"] == pytest.approx((4 + 8) / (8 + 8))
    # From the surest on: right, right up to 0.6, wrong, right. Three planes, so recalls of 1/3, 2/3 and 1.
    at_half = (34 * 1 + 33 * 1 + 34 * 3 / 4) / 101
    at_most = (34 * 1 + 33 * 2 / 4) / 101
    assert found["scene_ap50"] == pytest.approx(at_half)
    assert found["scene_map"] == pytest.approx((3 * at_half + 7 * at_most) / 10)
    assert found["count_error"] == pytest.approx((1 + 1 + 0) / 3)
    assert found["count_error_share"] == pytest.approx(2 / 3)
    assert scene_metrics(rows[:0]) == {}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_average_precision_over_scenes_is_that_of_cocos_code(seed: int, ties: bool) -> None:
    case = pictures(seed, ties=ties)
    rows = []
    for scores, boxes, truth in case:
        told: list[Scored] = [(tuple(box), score) for box, score in zip(boxes.tolist(), scores.tolist(), strict=True)]
        rows.append(judged(told, int((scores >= SURE).sum()), truth, NOTHING, NOTHING))
    found, expected = scene_metrics(torch.stack(rows)), reference(case)
    assert found["scene_ap50"] == pytest.approx(expected[0], abs=1e-12)
    assert found["scene_map"] == pytest.approx(expected.mean(), abs=1e-12)
    errors = [abs(int((scores >= SURE).sum()) - len(truth)) for scores, _, truth in case]
    assert found["count_error"] == pytest.approx(np.mean(errors))
    assert found["count_error_share"] == pytest.approx(sum(errors) / sum(len(truth) for *_, truth in case))


def test_the_truth_of_a_scene_is_drawn_as_its_tiles_masks_are() -> None:
    boxes = np.array([[20.0, 10.0, 60.0, 30.0]])
    rectangle, ellipse = (drawn(boxes, 2.0, shape, 40, 50) for shape in ("rectangle", "ellipse"))
    assert rectangle.shape == ellipse.shape == (40, 50)
    assert rectangle[5:15, 10:30].all()
    assert rectangle.sum() == 200
    assert ellipse.sum() == pytest.approx(np.pi / 4 * 200, rel=0.05)
