"""Metrics against small cases worked by hand."""

from __future__ import annotations

import pytest
import torch

from raytune_planes.datasets.base import Info
from raytune_planes.training.metrics import Tally, classification_metrics, mask_metrics

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


def test_a_tally_collects_all_batches() -> None:
    tally = Tally(THREE, ("classification",), torch.device("cpu"))
    logits = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    tally.add(torch.tensor([1, 2]), logits, {"classification": torch.tensor(0.5)})
    tally.add(torch.tensor([0]), logits[1:], {"classification": torch.tensor(2.0)})
    tally.add_mask(torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]), torch.tensor([[[5.0, -5.0], [5.0, -5.0]]]))
    got = tally.result(tally.vector)
    assert got["accuracy"] == pytest.approx(1 / 3)
    assert got["top2"] == pytest.approx(2 / 3)
    assert got["iou"] == pytest.approx(1 / 3)
    assert got["classification_loss"] == pytest.approx((0.5 * 2 + 2.0) / 3)
    assert got["images"] == 3


def test_two_halves_add_up_to_the_whole() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(20, 3), torch.randint(0, 3, (20,))
    whole, left, right = (Tally(THREE, (), torch.device("cpu")) for _ in range(3))
    whole.add(labels, logits, {})
    left.add(labels[:7], logits[:7], {})
    right.add(labels[7:], logits[7:], {})
    assert whole.result(whole.vector) == whole.result(left.vector + right.vector)


def test_a_tally_without_images_has_no_metrics() -> None:
    tally = Tally(THREE, (), torch.device("cpu"))
    assert tally.result(tally.vector) == {}
