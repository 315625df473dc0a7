"""The map of embeddings: its plane, its pictures, and what a report shows beside it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from raytune_planes.commands.report_insight import insights
from raytune_planes.datasets.loaders import normalise
from raytune_planes.report.drawing import save
from raytune_planes.report.embeddings import Embedded, Map, evenly, in_a_plane, shown_classes
from raytune_planes.report.figure import Missing
from raytune_planes.report.regions import Regions
from raytune_planes.training import checkpoint
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import INFOS, toy_config, toy_data, toy_prompts


def embedded(pictures_NW: np.ndarray, prompts_KW: np.ndarray) -> Embedded:
    classes = tuple(f"class {k}" for k in range(len(prompts_KW)))
    return Embedded(classes, np.zeros(len(pictures_NW), np.int64), pictures_NW, prompts_KW)


def test_rows_that_lie_in_a_plane_keep_all_their_distances() -> None:
    rng = np.random.default_rng(0)
    axes_2W = np.linalg.qr(rng.normal(size=(12, 2)))[0].T
    flat_N2 = rng.normal(size=(30, 2)) * (3, 1)
    rows_NW = flat_N2 @ axes_2W + rng.normal(size=12)
    found = in_a_plane({"a": embedded(rows_NW[:10], rows_NW[10:12]), "b": embedded(rows_NW[12:25], rows_NW[25:])})
    assert isinstance(found, Map)
    a, b = found.datasets["a"], found.datasets["b"]
    placed_N2 = np.concatenate([a.pictures_NW, a.prompts_KW, b.pictures_NW, b.prompts_KW])
    for (one, other), (i, j) in zip(pairwise(placed_N2), pairwise(flat_N2), strict=True):
        assert np.linalg.norm(one - other) == pytest.approx(np.linalg.norm(i - j))
    variance = np.linalg.eigvalsh(np.cov(flat_N2.T))[::-1]
    assert found.shares_2 == pytest.approx(variance / variance.sum())
    assert placed_N2.mean(0) == pytest.approx([0, 0], abs=1e-9)


def test_the_axis_of_most_variance_is_the_first_and_its_sign_is_settled() -> None:
    rows_NW = np.array([[0.0, 4, 0], [0, -4, 0], [1, 0, 0], [-1, 0, 0]])
    for sign in (1, -1):
        found = in_a_plane({"a": embedded(sign * rows_NW[[0, 2]], sign * rows_NW[[1, 3]])})
        assert isinstance(found, Map)
        np.testing.assert_allclose(found.datasets["a"].pictures_NW, sign * np.array([[4, 0], [0, 1]]), atol=1e-12)
        assert found.shares_2 == pytest.approx((32 / 34, 2 / 34))


def test_one_embedding_alone_spans_no_plane() -> None:
    assert isinstance(in_a_plane({"a": embedded(np.ones((5, 3)), np.ones((2, 3)))}), Missing)


def test_pictures_are_few_and_spread_and_classes_the_most_frequent() -> None:
    assert evenly(3, 200) == [0, 1, 2]
    assert evenly(1001, 5) == [0, 250, 500, 750, 1000]
    assert shown_classes(np.array([5, 5, 2, 2, 2, 0, 7]), 3) == [0, 2, 5]
    assert shown_classes(np.array([1]), 3) == [1]


def test_a_report_shows_regions_of_each_dataset_and_one_map_of_all(weights: Path, tmp_path: Path) -> None:
    state = checkpoint.load(weights)
    trainer = Trainer(toy_config(datasets__hrplanes__tile=64), toy_data(), toy_prompts(), LocalWorker("cpu"))
    trainer.use(state["weights"])
    trainer.model.eval()
    trainer.evaluate("val")
    *rests, last = insights(trainer, trainer.predictions(), state["prompts"])
    assert [figure.name for figure in rests] == [f"regions_{name}" for name in INFOS]
    for figure in rests:
        assert isinstance(figure.numbers, Regions)
        assert 1 <= len(figure.numbers.regions) <= 4
        for region in figure.numbers.regions:
            assert region.map_HW.shape == region.example.image_HWC.shape[:2]
            assert region.map_HW.max() in (0, 1)
            assert region.map_HW.min() >= 0
    assert last.name == "embeddings"
    placed = last.numbers.datasets
    assert {name: len(each.pictures_NW) for name, each in placed.items()} == dict.fromkeys(INFOS, 8)
    assert {name: len(each.prompts_KW) for name, each in placed.items()} == {"planesnet": 2, "hrplanes": 2, "fgvc": 6}
    images_NHWC = trainer.data["fgvc"].images_NHWC[trainer.data["fgvc"].splits["val"]]
    with torch.no_grad():
        image_NCHW = normalise(torch.from_numpy(images_NHWC).permute(0, 3, 1, 2).float().div(255))
        unit_NW = trainer.model("fgvc", image_NCHW)["contrastive"].embedding_BW.numpy()
    spread = np.linalg.norm(unit_NW[0] - state["prompts"]["fgvc"].numpy()[0])
    assert np.linalg.norm(placed["fgvc"].pictures_NW[0] - placed["fgvc"].prompts_KW[0]) <= spread + 1e-6
    for figure in (*rests, last):
        assert len(save(figure, tmp_path, synthetic=True)) == 2
