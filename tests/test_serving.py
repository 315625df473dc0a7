"""A checkpoint answers outside of training as the model did inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from raytune_planes.datasets.loaders import eval_batches
from raytune_planes.errors import UserError
from raytune_planes.records import Goal, Objective
from raytune_planes.serving import Predictor, serve
from raytune_planes.training.loop import train
from tests.toy import INFOS, toy_config, toy_data, toy_prompts


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    goal = Goal((Objective("val/fgvc/accuracy"),))
    config = toy_config(budget__epochs=1)
    train(config, toy_data(), toy_prompts(), goal, report=lambda _, checkpoint: checkpoint.save(folder))
    return folder / "best.pt"


def test_a_picture_gets_the_answer_that_the_model_gives_its_pixels(weights: Path) -> None:
    predictor, arrays = Predictor.load(weights), toy_data()["fgvc"]
    (batch,) = eval_batches(arrays, "test", 64)
    with torch.no_grad():
        expected = predictor.model("fgvc", batch.image_BCHW).logits_BK.softmax(1).max(1)
    answers = predictor.classify("fgvc", [Image.fromarray(arrays.images_NHWC[i]) for i in arrays.splits["test"]])
    assert [a.label for a in answers] == [INFOS["fgvc"].classes[i] for i in expected.indices]
    assert [a.probability for a in answers] == pytest.approx(expected.values.tolist(), abs=1e-5)


def test_a_dataset_with_masks_tells_how_much_is_plane(weights: Path) -> None:
    blank = Image.fromarray(np.zeros((40, 50, 3), np.uint8))
    predictor = Predictor.load(weights)
    assert 0 <= predictor.classify("hrplanes", [blank])[0].planes <= 1
    assert np.isnan(predictor.classify("fgvc", [blank])[0].planes)


def test_an_unknown_dataset_is_refused(weights: Path) -> None:
    with pytest.raises(UserError, match="the model knows no dataset 'fvgc'; did you mean 'fgvc'"):
        Predictor.load(weights).classify("fvgc", [])


def test_a_table_of_picture_files_becomes_a_table_of_answers(weights: Path, tmp_path: Path) -> None:
    import pandas

    Image.fromarray(np.zeros((30, 20, 3), np.uint8)).save(tmp_path / "x.png")
    table = pandas.DataFrame({"dataset": ["fgvc", "planesnet"], "image": [(tmp_path / "x.png").read_bytes()] * 2})
    answers = serve({"checkpoint": str(weights)})(table)
    assert list(answers.columns) == ["label", "probability", "planes"]
    assert answers["label"][1] in INFOS["planesnet"].classes
