"""The oriented detector: its Gaussians, its loss, and its average precision, by hand and by other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from raytune_planes.datasets.oriented import boxes_of, corners_of, iou, upright
from raytune_planes.network import Network
from raytune_planes.tasks.detection.average_precision import THRESHOLDS, average_precisions
from raytune_planes.tasks.detection.detector import REACH, centres
from raytune_planes.tasks.oriented_detection.average_precision import SIZE, counted, hits, oriented_metrics
from raytune_planes.tasks.oriented_detection.detector import decoded, detections
from raytune_planes.tasks.oriented_detection.gaussians import boxes, divergence, divergence_loss, spread
from raytune_planes.tasks.oriented_detection.loss import aims, oriented_detection
from tests.tasks.test_coco import pictures, reference
from tests.toy import INFOS, SIDE, toy_config
from tests.training.test_loop import Recorder, run

ASKED = {"losses__oriented_detection__weight": 0.5}
PLANES = torch.tensor([[[0.3, 0.3, 0.4, 0.2, 0.5], [0.75, 0.7, 0.3, 0.1, -1.2], [0, 0, 0, 0, 0]]])


def identity(rows: Tensor) -> Tensor:
    return rows


def parts(box: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Middle, size and stretch of the Gaussian of boxes [..., 5]."""
    r = (box[..., 2] / box[..., 3]).log() / 2
    size = (box[..., 2] * box[..., 3] / 4).log() / 2
    angle = 2 * box[..., 4]
    return box[..., :2], size, torch.stack([r * angle.cos(), r * angle.sin()], -1)


def gaussian(box_5: Tensor) -> MultivariateNormal:
    """By the equations of the paper's section 3.1: the square root of the covariance is R diag(w / 2, h / 2) R'."""
    _, _, w, h, angle = box_5.tolist()
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=box_5.dtype)
    root = turn @ torch.diag(torch.tensor([w / 2, h / 2], dtype=box_5.dtype)) @ turn.T
    return MultivariateNormal(box_5[:2], root @ root)


def cells(planes_BM5: Tensor, side: int = 16, logit: float = 9.0) -> Tensor:
    """What a perfect detector says of these planes."""
    positive_BN, target_BN5 = aims(corners_of(planes_BM5), side, side)
    middle, size, stretch = parts(target_BN5.clamp_min(-10).where(positive_BN[..., None], torch.ones(5)))
    unit = REACH / side
    away = (middle - centres(side, side)) / unit
    logits = torch.where(positive_BN, logit, -logit)
    flat_BN6 = torch.cat([logits[..., None], away, (size - math.log(unit))[..., None], stretch], -1)
    return flat_BN6.transpose(1, 2).unflatten(2, (side, side))


def random_boxes(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.rand(count, 5, generator=generator, dtype=torch.float64)
    rows[:, 2] = 0.1 + 0.4 * rows[:, 2]
    rows[:, 3] = rows[:, 2] * (0.2 + 0.8 * rows[:, 3])
    rows[:, 4] = (rows[:, 4] - 0.5) * math.pi
    return rows


def test_a_gaussian_has_the_covariance_of_its_box_and_gives_the_box_back() -> None:
    for box in random_boxes(40, 0):
        xx, xy, yy = spread(*parts(box)[1:]).tolist()
        expected = gaussian(box).covariance_matrix
        torch.testing.assert_close(torch.tensor([[xx, xy], [xy, yy]], dtype=box.dtype), expected, rtol=1e-6, atol=1e-9)
    every = random_boxes(40, 1)
    torch.testing.assert_close(boxes(*parts(every)), every)


def test_the_divergence_is_that_of_torchs_normal_distributions_and_of_the_papers_formula() -> None:
    for mine, target in zip(random_boxes(40, 2), random_boxes(40, 3), strict=True):
        found = divergence(*parts(mine), target).item()
        p, t = gaussian(mine), gaussian(target)
        assert found == pytest.approx(kl_divergence(p, t).item(), rel=1e-6)
        away = (p.mean - t.mean)[:, None]
        inverse = t.covariance_matrix.inverse()
        paper = 0.5 * (away.T @ inverse @ away).item() + 0.5 * (inverse @ p.covariance_matrix).trace().item()
        paper += 0.5 * (t.covariance_matrix.det() / p.covariance_matrix.det()).log().item() - 1  # equation 4
        assert found == pytest.approx(paper, rel=1e-6)
        assert divergence_loss(torch.tensor(found)).item() == pytest.approx(
            (1 - 1 / (1 + math.log(1 + paper))) / (1 - 1 / (1 + math.log(3))), rel=1e-5
        )


def test_the_loss_of_a_box_is_0_for_the_same_one_and_1_for_one_beside_it() -> None:
    box = torch.tensor([0.5, 0.5, 0.4, 0.1, 0.7])
    beside = box.clone()
    beside[:2] += 0.4 * torch.tensor([math.cos(0.7), math.sin(0.7)])
    assert divergence_loss(divergence(*parts(box), box)).item() == pytest.approx(0, abs=1e-3)
    assert divergence_loss(divergence(*parts(beside), box)).item() == pytest.approx(1, abs=1e-3)


def test_angles_on_both_sides_of_the_seam_are_near() -> None:
    up, down = (torch.tensor([0.5, 0.5, 0.4, 0.1, angle]) for angle in (math.pi / 2 - 0.01, -math.pi / 2 + 0.01))
    level, turned = (torch.tensor([0.5, 0.5, 0.4, 0.1, angle]) for angle in (0.0, 0.02))
    nearly = divergence(*parts(up), down).item()
    assert nearly == pytest.approx(divergence(*parts(turned), level).item(), rel=1e-2)
    assert 0.001 < nearly < 0.01


def test_a_square_has_a_gradient_like_any_other_box() -> None:
    size, stretch = torch.tensor(-1.5, requires_grad=True), torch.zeros(2, requires_grad=True)
    divergence(torch.tensor([0.5, 0.5]), size, stretch, torch.tensor([0.5, 0.5, 0.4, 0.1, 0.3])).backward()
    assert stretch.grad is not None
    direction = stretch.grad / stretch.grad.norm()
    assert (-direction).tolist() == pytest.approx([math.cos(0.6), math.sin(0.6)], abs=1e-4)  # towards the target's


def test_at_weight_zero_the_model_has_no_further_weight() -> None:
    def make(**settings: object) -> Network:
        torch.manual_seed(0)
        return Network(INFOS, toy_config(**settings), text_width=12)

    plain, asked = make(), make(**ASKED)
    extra = asked.state_dict().keys() - plain.state_dict().keys()
    assert {name.split(".")[0] for name in extra} == {"oriented_detector"}
    assert all(torch.equal(value, asked.state_dict()[name]) for name, value in plain.state_dict().items())
    image = torch.randn(1, 3, SIDE, SIDE)
    assert "oriented_detection" not in plain("hrplanes", image)
    assert asked("hrplanes", image)["oriented_detection"].shape == (1, 6, SIDE // 4, SIDE // 4)
    assert "oriented_detection" not in asked("fgvc", image)


def test_cells_in_the_middle_of_a_box_along_its_own_sides_are_to_find_it() -> None:
    side = 20
    positive_BN, target_BN5 = aims(corners_of(PLANES), side, side)
    x, y, w, h, angle = PLANES[0, 0].tolist()
    at_N2 = centres(side, side)
    right, down = at_N2[:, 0] - x, at_N2[:, 1] - y
    ahead = right * math.cos(angle) + down * math.sin(angle)
    aside = down * math.cos(angle) - right * math.sin(angle)
    inside_N = (ahead.abs() <= w / 4) & (aside.abs() <= h / 4)
    assert 4 < inside_N.sum() < 20
    assert positive_BN[0, inside_N].all()
    torch.testing.assert_close(target_BN5[0, inside_N], PLANES[0, 0].expand(int(inside_N.sum()), 5))
    tiny = corners_of(torch.tensor([[[0.51, 0.52, 0.02, 0.01, 0.8]]]))
    assert aims(tiny, 8, 8)[0].nonzero().tolist() == [[0, 8 * 4 + 4]]  # the cell that holds its centre


def test_the_loss_is_0_of_perfect_cells_and_1_of_boxes_beside_the_planes() -> None:
    corners, perfect = corners_of(PLANES), cells(PLANES)
    assert oriented_detection(perfect, corners, identity).item() == pytest.approx(0, abs=2e-3)
    beside = cells(PLANES, logit=20.0)
    ahead = torch.tensor([[0.4 * math.cos(0.5), 0.4 * math.sin(0.5)], [0.3 * math.cos(-1.2), 0.3 * math.sin(-1.2)]])
    positive_BN, target_BN5 = aims(corners, 16, 16)
    whose = (target_BN5[0, :, 2] < 0.35).long()
    moved = ahead[whose] / (REACH / 16) * positive_BN[0, :, None]
    beside[0, 1:3] += moved.T.unflatten(1, (16, 16))
    assert oriented_detection(beside, corners, identity).item() == pytest.approx(0.5, abs=2e-3)  # half of the loss
    nothing = torch.zeros(1, 3, 8)
    assert oriented_detection(cells(PLANES), nothing, identity).isfinite()


def test_gradients_are_finite_of_any_cells() -> None:
    wild = (torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0)) * 30).requires_grad_()
    oriented_detection(wild, corners_of(PLANES).expand(2, 3, 8), identity).backward()
    assert wild.grad is not None
    assert wild.grad.isfinite().all()


def test_perfect_cells_are_told_as_the_planes_each_once() -> None:
    logit_BK, corners_BK8 = detections(cells(PLANES, 32))
    told = boxes_of(corners_BK8[0, logit_BK[0] > 0])
    assert len(told) == 2
    torch.testing.assert_close(told[told[:, 0].argsort()], PLANES[0, :2], rtol=0, atol=1e-4)
    assert decoded(cells(PLANES))[0].shape == (1, 256)


def test_an_oracle_has_an_average_precision_of_1() -> None:
    truth = corners_of(PLANES)
    found = oriented_metrics(counted(torch.tensor([[3.0, 1.0]]), truth[:, :2], truth))
    assert found == {"oriented_ap50": 1, "oriented_map": 1}
    assert oriented_metrics(torch.zeros(SIZE, dtype=torch.float64)) == {}


def test_average_precision_of_a_square_turned_by_an_eighth_is_that_worked_by_hand() -> None:
    truth = corners_of(torch.tensor([[[0.25, 0.25, 0.2, 0.2, 0.0], [0.7, 0.7, 0.2, 0.2, 0.0]]], dtype=torch.float64))
    told = corners_of(
        torch.tensor([[[0.25, 0.25, 0.2, 0.2, 0.0], [0.7, 0.7, 0.2, 0.2, math.pi / 4]]], dtype=torch.float64)
    )
    assert iou(told, truth)[0, 1, 1].item() == pytest.approx(math.sqrt(0.5))  # right from 0.5 to 0.7, wrong above
    found = oriented_metrics(counted(torch.tensor([[3.0, 1.0]]), told, truth))
    assert found["oriented_ap50"] == 1
    assert found["oriented_map"] == pytest.approx((5 * 1 + 5 * 51 / 101) / 10)


@pytest.mark.parametrize("seed", range(4))
def test_of_upright_boxes_it_is_that_of_cocos_code(seed: int) -> None:
    random, case = np.random.default_rng(seed), []
    for score, told, truth in pictures(seed, ties=False):  # a hair aside, so that no overlap lies on a threshold
        case.append((score, told + np.tile(random.uniform(-0.01, 0.01, (len(told), 2)), 2), truth))
    scores, right = [], []
    for score, told, truth in case:
        made = [upright(torch.from_numpy(each))[None] for each in (told, truth)]
        scores.append(torch.from_numpy(score))
        right.append(hits(torch.from_numpy(score)[None], made[0], made[1])[0])
    ours = average_precisions(torch.cat(scores), torch.cat(right), sum(len(truth) for *_, truth in case))
    assert len(ours) == len(THRESHOLDS)
    assert ours == pytest.approx(reference(case), abs=1e-12)


def test_training_finds_the_planes_of_a_dataset_with_boxes_and_tells_it_only_there() -> None:
    seen, alone = Recorder(), {f"datasets__{name}__share": 0.0 for name in ("planesnet", "fgvc")}
    longer = {"budget__epochs": 4, "budget__steps_per_epoch": 50, "optim__lr": 0.005, "stopping__rule": "none"}
    straight = {f"datasets__hrplanes__augment__{name}": 0.0 for name in ("rotate", "scale")}
    run(toy_config(**longer, **alone, **straight, **ASKED), seen)
    first, last = seen.metrics[0], seen.metrics[-1]
    assert last["val/hrplanes/oriented_ap50"] > 0.8
    assert 0 < last["val/hrplanes/oriented_map"] <= last["val/hrplanes/oriented_ap50"]
    assert last["val/hrplanes/oriented_detection_loss"] < first["val/hrplanes/oriented_detection_loss"]
    assert "train/hrplanes/oriented_ap50" not in last
    assert not [key for key in last if "oriented" in key and "hrplanes" not in key]
