"""Metrics against small cases worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from raytune_planes.datasets.base import Info
from raytune_planes.datasets.loaders import Batch
from raytune_planes.tasks.classification.implementation import Logits, classification_metrics
from raytune_planes.tasks.implementation import Implementation
from raytune_planes.tasks.loading import make_tasks
from raytune_planes.tasks.segmentation.implementation import mask_metrics
from raytune_planes.training.tally import Sums
from tests.toy import toy_config

THREE = Info("x", ("a", "b", "c"), ("", "", ""), has_masks=True, parents={"family": (0, 0, 1)}, top_k=2)


def test_classification_metrics_of_a_confusion_matrix() -> None:
    confusion = torch.tensor([[3.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    got = classification_metrics(confusion, THREE)
    assert got["accuracy"] == pytest.approx(4 / 6)
    assert got["class_accuracy"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert got["f1"] == pytest.approx((6 / 7 + 2 / 4) / 2)
    assert got["family_accuracy"] == pytest.approx(5 / 6)


def test_f1_of_two_classes_is_that_of_the_second() -> None:
    info = Info("x", ("no", "yes"), ("", ""))
    got = classification_metrics(torch.tensor([[5.0, 1.0], [2.0, 4.0]]), info)
    assert got["f1"] == pytest.approx(2 * 4 / (2 * 4 + 1 + 2))


def test_mask_metrics_count_pixels() -> None:
    assert mask_metrics(6, 2, 4) == {"iou": 0.5, "dice": pytest.approx(12 / 18)}
    assert mask_metrics(0, 0, 0) == {"iou": 1.0, "dice": 1.0}
    assert mask_metrics(0, 3, 0) == {"iou": 0.0, "dice": 0.0}


def tasks(*names: str) -> dict[str, Implementation]:
    made = make_tasks(toy_config(datasets__x__reader="image_folder"), {"x": THREE})
    return {name: made[name] for name in names}


def sums(*names: str) -> Sums:
    return Sums("x", tasks(*names), torch.device("cpu"))


def batch(labels: list[int], mask_BHW: torch.Tensor | None = None) -> Batch:
    return Batch("x", torch.zeros(len(labels), 3, 2, 2), torch.tensor(labels), mask_BHW)


def test_sums_collect_all_batches() -> None:
    own = sums("classification", "segmentation")
    logits = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    own.add(batch([1, 2]), {"classification": Logits(logits)}, {"classification": torch.tensor(0.5)}, training=False)
    mask_BHW, guess_BHW = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]), torch.tensor([[[5.0, -5.0], [5.0, -5.0]]])
    last = {"classification": Logits(logits[1:]), "segmentation": guess_BHW}
    own.add(batch([0], mask_BHW), last, {"classification": torch.tensor(2.0)}, training=False)
    got = own.result(own.vector, training=False)
    assert got["accuracy"] == pytest.approx(1 / 3)
    assert got["top2"] == pytest.approx(2 / 3)
    assert got["iou"] == pytest.approx(1 / 3)
    assert got["classification_loss"] == pytest.approx((0.5 * 2 + 2.0) / 3)
    assert got["images"] == 3
    powers = [math.exp(3), math.exp(2), math.exp(1)]
    each = [math.log(sum(powers)) - 2, math.log(sum(powers)) - 3, math.log(sum(powers)) - 1]
    assert got["cross_entropy"] == pytest.approx(sum(each) / 3), "in nats, not divided by the value at chance"
    assert got["mask_cross_entropy"] == pytest.approx((2 * math.log1p(math.exp(-5)) + 2 * math.log1p(math.exp(5))) / 4)


def test_two_halves_add_up_to_the_whole() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(20, 3), torch.randint(0, 3, (20,)).tolist()
    whole, left, right = (sums("classification") for _ in range(3))
    whole.add(batch(labels), {"classification": Logits(logits)}, {}, training=False)
    left.add(batch(labels[:7]), {"classification": Logits(logits[:7])}, {}, training=False)
    right.add(batch(labels[7:]), {"classification": Logits(logits[7:])}, {}, training=False)
    added = whole.result(left.vector + right.vector, training=False)
    assert whole.result(whole.vector, training=False) == pytest.approx(added)


def test_sums_without_images_have_no_metrics() -> None:
    own = sums("classification")
    assert own.result(own.vector, training=False) == {}
