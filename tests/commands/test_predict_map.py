"""The map of what was answered: where pictures and prompts lie, by their own numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from raytune_planes.commands.predict_map import _embedded, draw_map
from raytune_planes.serving.answers import answer
from raytune_planes.serving.ensemble import Ensemble
from raytune_planes.serving.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(weights: Path) -> Predictor:
    return Predictor.load(weights)


def picture(folder: Path, name: str, size: tuple[int, int], seed: int) -> Path:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).save(folder / name)
    return folder / name


def test_a_picture_lies_where_the_model_embeds_it(predictor: Predictor, tmp_path: Path) -> None:
    chip = picture(tmp_path, "chip.png", (16, 16), 0)
    found = answer(predictor, chip, "planesnet")
    _, batches = predictor.pixels("planesnet", chip)
    (pixels_NHWC,) = batches
    expected = predictor.predict("planesnet", torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2)).embedding_BW
    assert expected is not None
    assert found.embedding is not None
    np.testing.assert_array_equal(found.embedding, expected[0].numpy())
    assert "embedding" not in found.to_dict()


def test_a_scene_lies_at_the_mean_of_its_tiles(predictor: Predictor, tmp_path: Path) -> None:
    scene = picture(tmp_path, "scene.png", (150, 100), 1)
    found = answer(predictor, scene, "hrplanes")
    cut, batches = predictor.pixels("hrplanes", scene)
    rows = [predictor.predict("hrplanes", torch.from_numpy(some).permute(0, 3, 1, 2)).embedding_BW for some in batches]
    tiles_NW = torch.cat([row for row in rows if row is not None])
    assert found.tiles == len(tiles_NW) > 1
    assert cut is not None
    assert found.embedding is not None
    np.testing.assert_allclose(found.embedding, tiles_NW.mean(0).numpy(), atol=1e-6)


def test_pictures_of_all_datasets_are_drawn_with_the_prompts_of_theirs(predictor: Predictor, tmp_path: Path) -> None:
    asked = [("a.png", (16, 16), "planesnet"), ("b.png", (16, 16), "planesnet"), ("c.png", (90, 60), "fgvc")]
    answers = [answer(predictor, picture(tmp_path, n, size, i), name) for i, (n, size, name) in enumerate(asked)]
    chips = _embedded(predictor, "planesnet", answers)
    assert [chips.classes[k] for k in chips.labels_N] == [a.labels[0].label for a in answers[:2]]
    np.testing.assert_array_equal(chips.prompts_KW, predictor.prompts["planesnet"].numpy())
    assert chips.pictures_NW.shape == (2, chips.prompts_KW.shape[1])
    (tmp_path / "out").mkdir()
    said = draw_map(predictor, answers, tmp_path / "out")
    assert said.startswith(f"Map of embeddings: {tmp_path / 'out' / 'embeddings.png'}")
    with Image.open(tmp_path / "out" / "embeddings.png") as drawn:
        assert min(drawn.size) > 300


def test_an_ensemble_has_no_map_and_says_why(predictor: Predictor, tmp_path: Path) -> None:
    ensemble = Ensemble([predictor], {})
    assert "each member of an ensemble has a space of its own" in draw_map(ensemble, [], tmp_path)
    assert list(tmp_path.iterdir()) == []
