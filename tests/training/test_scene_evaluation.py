"""Whole scenes are evaluated when they are due, by all workers together, with the figures of what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from raytune_planes.catalog import CATALOG
from raytune_planes.datasets import cache
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.crops import Seen
from raytune_planes.datasets.hrplanes import HRPlanes, Scene, write
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.records import EpochRecord, Goal, Objective
from raytune_planes.tasks.prediction import Prediction
from raytune_planes.tasks.segmentation.settings import SCENE_ERRORS, SCENE_METRICS
from raytune_planes.training.loop import train
from raytune_planes.training.scene_evaluation import SceneEvaluation
from raytune_planes.training.workers import LocalWorker
from tests.toy import toy_config

NAMES = {*SCENE_METRICS, *SCENE_ERRORS}


def white(folder: Path) -> Arrays:
    """Two validation scenes with white planes on black: four in the first; two in the second, and a third whose label
    lies on black ground."""
    shown = {
        "first": [(20, 20, 60, 60), (100, 30, 150, 70), (30, 150, 70, 190), (200, 140, 240, 180)],
        "second": [(40, 40, 80, 80), (180, 100, 230, 150)],
        "other": [(40, 40, 80, 80)],
        "last": [(60, 40, 90, 80)],
    }
    scenes = []
    for name, split in {"first": "val", "second": "val", "other": "train", "last": "test"}.items():
        pixels = np.zeros((200, 260, 3), np.uint8)
        for left, top, right, bottom in shown[name]:
            pixels[top:bottom, left:right] = 255
        boxes = [tuple(map(float, box)) for box in shown[name]]
        boxes += [(100.0, 10.0, 140.0, 50.0)] if name == "second" else []
        scenes.append(Scene(name, pixels, tuple(boxes), split))  # type: ignore[arg-type]
    write(folder / "data", scenes)
    return cache.decode(HRPlanes(folder / "data", name="hrplanes", image_size=64, tile=128), folder / "cache")


def sees(dataset: str, image_BCHW: Tensor) -> Prediction:
    """A perfect look at white planes on black: they are where it is bright."""
    assert dataset == "hrplanes"
    return Prediction(mask_BHW=(image_BCHW.mean(1) > 0).float() * 0.8 + 0.1)


def test_an_oracle_finds_what_is_shown_and_misses_what_is_not(tmp_path: Path) -> None:
    found = SceneEvaluation({"hrplanes": white(tmp_path)}, sees, LocalWorker()).run("val")
    assert found["val/hrplanes/scene_ap50"] == pytest.approx(86 / 101)  # up to a recall of 6/7
    assert found["val/hrplanes/count_error"] == pytest.approx((0 + 1) / 2)
    assert found["val/hrplanes/count_error_share"] == pytest.approx(1 / 7)
    areas = 40 * 40 + 50 * 40 + 40 * 40 + 40 * 40 + 40 * 40 + 50 * 50
    assert found["val/hrplanes/scene_iou"] == pytest.approx(areas / (areas + 40 * 40), abs=0.01)
    alone = SceneEvaluation({"hrplanes": white(tmp_path)}, sees, LocalWorker()).run("test")
    assert alone["test/hrplanes/scene_ap50"] == alone["test/hrplanes/scene_map"] == 1
    assert alone["test/hrplanes/count_error"] == 0


def test_tiles_that_the_model_sees_smaller_than_they_are_decoded_find_the_same(tmp_path: Path) -> None:
    sides = set[int]()

    def sees_smaller(dataset: str, image_BCHW: Tensor) -> Prediction:
        sides.add(image_BCHW.shape[-1])
        return sees(dataset, image_BCHW)

    seen = {"hrplanes": Seen(32)}
    found = SceneEvaluation({"hrplanes": white(tmp_path)}, sees_smaller, LocalWorker(), seen).run("test")
    assert sides == {32}
    assert found["test/hrplanes/scene_ap50"] == 1
    assert found["test/hrplanes/count_error"] == 0
    assert found["test/hrplanes/scene_iou"] > 0.85


def test_boxes_of_a_detector_go_before_parts_of_the_mask(tmp_path: Path) -> None:
    def blind(dataset: str, image_BCHW: Tensor) -> Prediction:
        none = torch.zeros(len(image_BCHW), 3)
        return Prediction(
            mask_BHW=sees(dataset, image_BCHW).mask_BHW,
            box_logit_BN=none - 9,
            boxes_BN4=none[..., None].expand(-1, -1, 4),
        )

    found = SceneEvaluation({"hrplanes": white(tmp_path)}, blind, LocalWorker()).run("val")
    assert found["val/hrplanes/scene_ap50"] == 0
    assert found["val/hrplanes/count_error"] == pytest.approx((4 + 3) / 2)


class Part(LocalWorker):
    """One of two workers, whose sums are with the other's where those are known."""

    world = 2

    def __init__(self, rank: int, others: Mapping[int, Tensor]) -> None:
        super().__init__()
        self.rank, self._others, self.own = rank, others, torch.zeros(0)

    def sum(self, values_N: Tensor) -> Tensor:
        self.own = values_N.clone()
        return values_N + self._others.get(1 - self.rank, torch.zeros_like(values_N))


def test_workers_share_the_scenes_and_get_the_same_figures(tmp_path: Path) -> None:
    data = {"hrplanes": white(tmp_path)}
    alone = SceneEvaluation(data, sees, LocalWorker()).run("val")
    parts: dict[int, Tensor] = {}
    for rank in (0, 1):
        worker = Part(rank, {})
        SceneEvaluation(data, sees, worker).run("val")
        parts[rank] = worker.own
    assert (parts[0] * parts[1]).sum() == 0  # no scene is judged twice
    for rank in (0, 1):
        assert SceneEvaluation(data, sees, Part(rank, parts)).run("val") == alone


def trained(folder: Path, goal: str = "val/hrplanes/iou", **settings: object) -> list[set[str]]:
    """The scenes' metrics after each epoch of a tiny training on synthetic scenes."""
    synthesise(folder, planesnet=0, hrplanes=6, fgvc=0, fgvc_classes=2, seed=3)
    off = {f"datasets__{other}__enabled": False for other in CATALOG if CATALOG[other].standard and other != "hrplanes"}
    config = toy_config(
        **off, datasets__hrplanes__image_size=32, budget__epochs=3, budget__steps_per_epoch=2, **settings
    )
    arrays = cache.decode(HRPlanes(folder / "hrplanes", name="hrplanes", image_size=32, tile="auto"), folder / "cache")
    rows = np.eye(2, 12, dtype=np.float32)
    seen: list[EpochRecord] = []
    train(
        config, {"hrplanes": arrays}, {"hrplanes": rows}, Goal((Objective(goal),)), report=lambda e, _: seen.append(e)
    )
    return [{key.split("/")[2] for key in epoch.metrics if key.split("/")[0] == "val"} & NAMES for epoch in seen]


def test_scenes_are_evaluated_every_few_epochs_and_after_the_last(tmp_path: Path) -> None:
    assert trained(tmp_path, budget__scene_epochs=2) == [set(), NAMES, NAMES]


def test_scenes_are_evaluated_after_every_epoch_where_the_goal_names_them_and_never_at_0(tmp_path: Path) -> None:
    assert trained(tmp_path / "a", goal="val/hrplanes/scene_ap50", budget__scene_epochs=0) == [NAMES] * 3
    assert trained(tmp_path / "b", budget__scene_epochs=0) == [set()] * 3
