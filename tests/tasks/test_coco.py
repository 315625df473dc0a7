"""Our figures of boxes and masks are those of the reference libraries: COCO's own code, and scikit-learn's Jaccard."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import f1_score, jaccard_score

from raytune_planes.tasks.detection.average_precision import (
    BINS,
    FURTHEST,
    THRESHOLDS,
    average_precisions,
    counted,
    detection_metrics,
    hits,
)
from raytune_planes.tasks.detection.detector import iou
from raytune_planes.tasks.segmentation.implementation import mask_metrics

Pictures = list[tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Of each picture: scores that fall, their boxes, the planes' boxes."""


def pictures(seed: int, *, ties: bool) -> Pictures:
    """Boxes in whole pixels about planes or anywhere, some told twice, some planes twice, and pictures with neither."""
    random = np.random.default_rng(seed)
    out = []
    for n in range(14):
        planes = 0 if n % 5 == 1 else int(random.integers(1, 7))
        told = 0 if n % 5 in (2, 3) and n > 5 else int(random.integers(1, 13))
        corner = random.integers(0, 80, (planes, 2))
        truth = np.concatenate([corner, corner + random.integers(4, 30, (planes, 2))], 1).astype(float)
        if planes > 2:
            truth[1] = truth[0]
        guess = random.integers(0, 80, (told, 4)).astype(float)
        guess[:, 2:] = guess[:, :2] + random.integers(4, 30, (told, 2))
        near = (random.random(told) < 0.7) & (planes > 0)
        if planes:
            moved = truth[random.integers(0, planes, told)] + random.integers(-2, 3, (told, 4))
            guess[near] = moved[near]
        if told > 3:
            guess[1] = guess[0]
        few, many = random.integers(1, 4, told) / 8, random.permutation(12)[:told] / 16 + n / 1024
        score = ((few if ties else many) + near) / 2
        order = np.argsort(-score, kind="stable")
        out.append((score[order], guess[order], truth))
    return out


def reference(of: Pictures) -> np.ndarray:
    """COCO's average precision at each overlap, by its own code."""
    whole = COCO()
    found, planes = [], []
    for n, (scores, boxes, truth) in enumerate(of):
        wide = [np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], 1).tolist() for b in (boxes, truth)]
        found += [
            {"image_id": n, "category_id": 1, "bbox": box, "score": float(s)}
            for s, box in zip(scores, wide[0], strict=True)
        ]
        planes += [{"image_id": n, "category_id": 1, "bbox": box, "area": box[2] * box[3]} for box in wide[1]]
    numbered = [{**plane, "id": i, "iscrowd": 0} for i, plane in enumerate(planes, 1)]
    whole.dataset = {
        "info": {},
        "images": [{"id": n} for n in range(len(of))],
        "categories": [{"id": 1}],
        "annotations": numbered,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        whole.createIndex()
        judge = COCOeval(whole, whole.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
    precision_TR = judge.eval["precision"][:, :, 0, 0, -1]
    return np.asarray(precision_TR).mean(1)


def ours(of: Pictures) -> list[float]:
    scores, right = [], []
    for score, boxes, truth in of:
        case = torch.from_numpy(score)[None], torch.from_numpy(boxes)[None], torch.from_numpy(truth)[None]
        each = [hits(*case, enough)[0] for enough in THRESHOLDS.tolist()]
        scores.append(torch.from_numpy(score))
        right.append(torch.stack(each, 1))
    return average_precisions(torch.cat(scores), torch.cat(right), sum(len(truth) for *_, truth in of))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_average_precision_at_every_overlap_is_that_of_cocos_code(seed: int, ties: bool) -> None:
    case = pictures(seed, ties=ties)
    expected = reference(case)
    assert 0.02 < expected.mean() < expected[0] < 0.95
    assert ours(case) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_ap50_by_counts_is_that_of_cocos_code_where_every_score_has_a_step_of_its_own(seed: int) -> None:
    case, step = pictures(seed, ties=False), 2 * FURTHEST / BINS
    ranks = {s: n for n, s in enumerate(sorted({float(s) for scores, *_ in case for s in scores}))}
    assert len(ranks) == sum(len(scores) for scores, *_ in case) < BINS
    counts = torch.zeros_like(counted(torch.zeros(1, 0), torch.zeros(1, 0, 4), torch.zeros(1, 1, 4)))
    for scores, boxes, truth in case:
        logit = torch.tensor([[-FURTHEST + (ranks[float(s)] + 0.5) * step for s in scores]])
        planes = truth if len(truth) else np.zeros((1, 4))
        counts += counted(logit, torch.from_numpy(boxes)[None], torch.from_numpy(planes)[None])
    assert detection_metrics(counts)["ap50"] == pytest.approx(reference(case)[0], abs=1e-12)


def test_overlaps_of_boxes_are_those_of_cocos_code() -> None:
    random = np.random.default_rng(0)
    boxes = [random.uniform(0, 50, (20, 4)) for _ in range(2)]
    sides = [np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], 1) for b in boxes]
    expected = coco_mask.iou(boxes[0], boxes[1], [0] * 20)
    assert iou(*(torch.from_numpy(s)[None] for s in sides))[0].numpy() == pytest.approx(expected, abs=1e-12)


def test_iou_and_dice_of_masks_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    truth, guess = random.random((2, 5000)) < 0.3
    found = mask_metrics((truth & guess).sum(), (guess & ~truth).sum(), (truth & ~guess).sum())
    assert found["iou"] == pytest.approx(jaccard_score(truth, guess), abs=1e-12)
    assert found["dice"] == pytest.approx(f1_score(truth, guess), abs=1e-12)
