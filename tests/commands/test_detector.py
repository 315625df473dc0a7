"""A trained model finds the objects of a picture as ``predict`` tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.commands.detector import detect_with
from raytune_planes.errors import UserError
from raytune_planes.records import Goal, Objective
from raytune_planes.serving.answers import answer
from raytune_planes.serving.predictor import Predictor
from raytune_planes.training.loop import train
from tests.serving.test_answers import scene
from tests.toy import toy_config, toy_data, toy_prompts


def test_the_parts_of_a_models_mask_are_its_detections(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "scene.png").write_bytes(scene()[0])
    told = answer(Predictor.load(weights), tmp_path / "scene.png", "hrplanes")
    found = detect_with(str(weights))(tmp_path / "scene.png")
    assert len(found) > 0
    assert found == list(told.planes)


def test_a_model_without_boxes_and_masks_is_no_detector(tmp_path: Path) -> None:
    config = toy_config(
        datasets__hrplanes__enabled=False, datasets__fgvc__enabled=False, budget__epochs=1, budget__steps_per_epoch=2
    )
    data, prompts = ({"planesnet": whole["planesnet"]} for whole in (toy_data(), toy_prompts()))
    goal = Goal((Objective("val/planesnet/accuracy"),))
    train(config, data, prompts, goal, report=lambda _, checkpoint: checkpoint.save(tmp_path))
    with pytest.raises(UserError, match="it learnt neither boxes nor masks; give a model that did"):
        detect_with(str(tmp_path / "best.pt"))
