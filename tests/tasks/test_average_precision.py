"""AP50 by counts that add up, against cases worked by hand and against a plain exact one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from raytune_planes.records import End
from raytune_planes.tasks.detection.average_precision import SIZE, counted, detection_metrics, hits
from raytune_planes.tasks.loading import make_tasks
from raytune_planes.training.tally import Sums
from tests.toy import INFOS, toy_config
from tests.training.test_loop import Recorder, run

ASKED = {"losses__detection__weight": 1.0}


def ap50(logit_BK: Tensor, boxes_BK4: Tensor, truth_BM4: Tensor) -> float:
    return detection_metrics(counted(logit_BK, boxes_BK4, truth_BM4))["ap50"]


def exact(logit_BK: Tensor, boxes_BK4: Tensor, truth_BM4: Tensor) -> float:
    """Average precision by one sorted list over all pictures, in plain Python."""
    rows, planes = [], 0
    for logits, boxes, truth in zip(logit_BK.tolist(), boxes_BK4.tolist(), truth_BM4.tolist(), strict=True):
        free = [box for box in truth if box[2] > box[0]]
        planes += len(free)
        for logit, box in sorted(zip(logits, boxes, strict=True), key=lambda pair: -pair[0]):
            best = max(free, key=lambda other: overlap(box, other), default=None)
            right = best is not None and overlap(box, best) >= 0.5
            if right:
                free.remove(best)
            rows.append((logit, right))
    rows.sort(key=lambda row: -row[0])
    right = np.cumsum([row[1] for row in rows])
    precision = right / np.arange(1, len(rows) + 1)
    at = [precision[right / planes >= recall].max(initial=0.0) for recall in np.linspace(0, 1, 101)]
    return float(np.mean(at))


def overlap(a: list[float], b: list[float]) -> float:
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, across) * max(0.0, down)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def at_random(seed: int, pictures: int = 40, boxes: int = 12, planes: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes that are near planes or anywhere, surer of the near ones; some pictures have fewer planes."""
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 0.7, (pictures, planes, 2))
    truth = np.concatenate([corner, corner + random.uniform(0.1, 0.3, corner.shape)], 2)
    near = random.random((pictures, boxes)) < 0.6
    which = random.integers(0, planes, (pictures, boxes))
    guess = np.take_along_axis(truth, which[..., None], 1) + random.normal(0, 0.02, (pictures, boxes, 4))
    start = random.uniform(0, 0.7, (pictures, boxes, 2))
    guess = np.where(near[..., None], guess, np.concatenate([start, start + 0.2], 2))
    truth[random.random((pictures, planes)) < 0.3] = 0
    logit = random.normal(0, 2, (pictures, boxes)) + 2 * near
    order = np.argsort(-logit, 1)
    logit, guess = np.take_along_axis(logit, order, 1), np.take_along_axis(guess, order[..., None], 1)
    return torch.from_numpy(logit), torch.from_numpy(guess), torch.from_numpy(truth)


def test_a_case_worked_by_hand() -> None:
    plane, other, nothing = [0.1, 0.1, 0.3, 0.3], [0.6, 0.6, 0.8, 0.8], [0.4, 0.1, 0.5, 0.2]
    boxes = torch.tensor([[plane, nothing, plane, other]])
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    truth = torch.tensor([[plane, other, [0.0, 0.9, 0.1, 1.0], [0.0] * 4]])
    assert hits(logits, boxes, truth).tolist() == [[True, False, False, True]]
    # Precision is 1 up to a recall of 1/3, 2/4 up to 2/3, so at 34 and at 33 of the 101 recalls that COCO reads; the
    # third plane is never found.
    assert ap50(logits, boxes, truth) == pytest.approx((34 * 1 + 33 * 0.5) / 101)


def test_a_box_takes_the_plane_that_it_overlaps_most_among_the_free_ones() -> None:
    left, right = [0.0, 0.0, 0.4, 0.4], [0.1, 0.0, 0.5, 0.4]
    boxes, truth = torch.tensor([[right, right]]), torch.tensor([[left, right]])
    assert hits(torch.tensor([[2.0, 1.0]]), boxes, truth).tolist() == [[True, True]]


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_exact_average_precision_to_three_digits(seed: int) -> None:
    case = at_random(seed)
    assert 0.2 < exact(*case) < 0.9
    assert ap50(*case) == pytest.approx(exact(*case), abs=2e-3)


def test_counts_of_several_workers_and_batches_add_up() -> None:
    logit, boxes, truth = at_random(7)
    whole = counted(logit, boxes, truth)
    parts = sum(counted(logit[at], boxes[at], truth[at]) for at in torch.arange(40).split([3, 20, 17]))
    assert whole.shape == (SIZE,)
    assert torch.equal(whole, parts)


def test_what_another_box_told_already_does_not_count() -> None:
    logit, boxes, truth = at_random(3)
    silent = logit.masked_fill(torch.arange(12) % 3 == 1, -torch.inf)
    kept = [k for k in range(12) if k % 3 != 1]
    assert ap50(silent, boxes, truth) == ap50(logit[:, kept], boxes[:, kept], truth)


def test_nothing_to_find_is_one_when_nothing_is_found_and_no_picture_is_no_metric() -> None:
    box, none = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]]), torch.zeros(1, 1, 4)
    assert ap50(torch.tensor([[-torch.inf]]), box, none) == 1
    assert ap50(torch.tensor([[0.0]]), box, none) == 0
    assert ap50(torch.tensor([[-torch.inf]]), box, box) == 0
    assert detection_metrics(torch.zeros(SIZE, dtype=torch.float64)) == {}


def test_there_is_room_for_boxes_only_where_they_are_counted() -> None:
    plain, boxed = (
        Sums("hrplanes", make_tasks(toy_config(**asked), INFOS), torch.device("cpu")) for asked in ({}, ASKED)
    )
    assert len(boxed.vector) - len(plain.vector) == SIZE + 1  # and the sum of its losses


def test_training_finds_the_planes_of_a_dataset_with_boxes() -> None:
    seen, alone = Recorder(), {f"datasets__{name}__share": 0.0 for name in ("planesnet", "fgvc")}
    longer = {"budget__epochs": 4, "budget__steps_per_epoch": 50, "optim__lr": 0.005, "stopping__rule": "none"}
    upright = {
        f"datasets__hrplanes__augment__{name}": 0.0 for name in ("rotate", "scale")
    }  # hulls of thin bars are fat
    run(toy_config(**longer, **alone, **upright, **ASKED), seen)
    first, last = seen.metrics[0], seen.metrics[-1]
    assert last["val/hrplanes/ap50"] > 0.8
    assert last["val/hrplanes/detection_loss"] < min(0.6, first["val/hrplanes/detection_loss"])
    assert "train/hrplanes/detection_loss" in last
    assert "train/hrplanes/ap50" not in last
    assert not [key for key in last if ("detection" in key or "ap50" in key) and "hrplanes" not in key]


def test_at_weight_zero_there_is_no_such_metric() -> None:
    seen = Recorder()
    run(toy_config(budget__epochs=1), seen)
    assert not [key for key in seen.metrics[0] if "detection" in key or "ap50" in key]


def test_a_resumed_training_goes_on_bit_for_bit_with_boxes(tmp_path: Path) -> None:
    augment = {"datasets__hrplanes__augment__cutmix": 1.0, "datasets__hrplanes__augment__elastic": 0.02}
    config = toy_config(budget__epochs=4, **augment, **ASKED)
    whole, first, second = Recorder(), Recorder(tmp_path, stop_after=2), Recorder()
    run(config, whole)
    assert run(config, first) == (End.PRUNED, "told to")
    run(config, second, resume=tmp_path / "last.pt")
    assert first.metrics + second.metrics == whole.metrics


def test_a_batch_in_two_halves_finds_about_the_same() -> None:
    from raytune_planes.training.loop import train
    from tests.toy import toy_data, toy_prompts
    from tests.training.test_loop import GOAL

    config = toy_config(budget__epochs=1, **ASKED)
    seen: list[dict[str, float]] = []
    for pieces in (1, 2):
        train(config, toy_data(), toy_prompts(), GOAL, pieces=pieces, report=lambda e, _: seen.append(dict(e.metrics)))
    assert seen[1]["val/hrplanes/detection_loss"] == pytest.approx(seen[0]["val/hrplanes/detection_loss"], rel=0.1)
