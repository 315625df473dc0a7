"""Which metrics a dataset measures: what its pictures come with decides."""

from __future__ import annotations

import pytest

from raytune_planes.datasets.info import Info
from raytune_planes.preparation.measured import lacks

PLAIN = Info("mine", ("a", "b"), ("an a", "a b"))
WHOLE = Info("mine", ("a", "b"), ("an a", "a b"), True, {"family": (0, 0)}, top_k=5, has_boxes=True, tile=64)


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("accuracy", ""),
        ("class_accuracy", ""),
        ("contrastive_loss", ""),
        ("iou", "no masks"),
        ("segmentation_loss", "no masks"),
        ("scene_iou", "no masks"),
        ("count_error", "no masks"),
        ("ap50", "no boxes"),
        ("detection_loss", "no boxes"),
        ("top5", "too few classes (2)"),
        ("family_accuracy", "no classes of which the family is known"),
    ],
)
def test_a_metric_is_measured_where_the_dataset_has_what_it_needs(name: str, lacking: str) -> None:
    assert lacks(name, PLAIN) == lacking
    assert lacks(name, WHOLE) == ""


def test_small_pictures_with_masks_are_no_scenes() -> None:
    masked = Info("mine", ("a", "b"), ("an a", "a b"), has_masks=True)
    assert lacks("iou", masked) == ""
    assert lacks("scene_iou", masked) == "no scenes that are cut into tiles"
