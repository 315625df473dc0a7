"""A count says by what it was made, and how far such counts were off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from raytune_planes.serving import Predictor
from raytune_planes.serving.answers import Answer, answer
from raytune_planes.serving.counts import Count
from tests.serving.test_answers import grey, scene

BOXES = (((10.0, 20.0, 30.0, 40.0), 0.9), ((60.0, 20.0, 90.0, 40.0), 0.7), ((10.0, 60.0, 30.0, 80.0), 0.6))


def of_scene(weights: Path) -> Answer:
    return answer(Predictor.load(weights), scene()[0])


def test_detections_are_counted_where_there_are_any(weights: Path) -> None:
    told = replace(of_scene(weights), boxes=BOXES)
    assert len(told.planes) != 3
    assert (told.count, told.to_dict()["count"]) == (Count(3, "detections"), 3)
    assert told.to_dict()["counted_by"] == "detections"
    assert told.to_dict()["count_error"] == {"error": 7.5, "planes": 35.2, "constant": 14.5, "scenes": 27}
    assert replace(told, boxes=()).count == Count(0, "detections")  # a detector that found none


def test_without_a_detector_parts_of_the_mask_are_counted(weights: Path) -> None:
    told = of_scene(weights)
    assert told.boxes is None
    assert told.count == Count(len(told.planes), "mask parts")
    assert told.to_dict()["count_error"]["error"] == 8.0


def test_the_measured_error_stands_beside_the_count_in_words() -> None:
    assert str(Count(3, "detections")) == (
        "3 planes, counted by detections (measured with other models on 27 real scenes: off by 7.5 of 35.2 planes on "
        "average; the same count for every scene is off by 14.5)"
    )
    assert str(Count(0, "sliding windows")) == "0 planes, counted by sliding windows (error not measured)"
    assert str(Count(1, "sliding windows")).startswith("1 plane, counted by sliding windows")


def test_a_picture_that_is_answered_by_its_class_has_no_count(weights: Path) -> None:
    told = answer(Predictor.load(weights), grey(20, 20), "planesnet")
    assert told.count is None
    assert "count" not in told.to_dict()
