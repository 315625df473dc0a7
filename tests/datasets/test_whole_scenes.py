"""Whole scenes in the decoded cache: at the scale of their tiles, in the right split, with all their boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raytune_planes.config import Split
from raytune_planes.datasets import cache, tiles
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.cleaning import Plan
from raytune_planes.datasets.folds import parted
from raytune_planes.datasets.hrplanes import HRPlanes, Scene, write

TILE, SIDE = 64, 32
SPLITS_OF = ("val", "test", "train", "train", "train", "val")


def scenes() -> list[Scene]:
    """Six scenes of 200 x 130 pixels with noise; the last shows no plane."""
    random = np.random.default_rng(0)
    made = []
    for n, split in enumerate(SPLITS_OF):
        boxes = ((8.0, 16.0, 40.0, 48.0), (70.0 + 4 * n, 60.0, 90.0 + 4 * n, 84.0))[: 0 if n == 5 else 2]
        made.append(Scene(f"s{n}", random.integers(0, 255, (130, 200, 3)).astype(np.uint8), boxes, split))
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "data", scenes())
    return tmp_path / "data"


def decoded(root: Path, plan: Plan | None = None) -> Arrays:
    return cache.decode(HRPlanes(root, name="hrplanes", image_size=SIDE, tile=TILE), root.parent / "cache", plan=plan)


def test_every_scene_is_there_whole_with_its_size_boxes_and_split(root: Path) -> None:
    found = decoded(root).scenes
    assert found is not None
    assert len(found) == 6
    for n, scene in enumerate(scenes()):
        assert found.image(n).shape == (65, 100, 3)  # two source pixels for one
        assert found.size(n) == (200, 130)
        assert found.step(n, TILE) == 2
        assert found.boxes(n) == pytest.approx(np.array(scene.boxes).reshape(-1, 4), abs=1e-3)
    assert {split: part.tolist() for split, part in found.splits.items()} == {
        "train": [2, 3, 4],
        "val": [0, 5],
        "test": [1],
    }


def test_a_tile_is_the_part_of_its_scene_bit_for_bit(root: Path) -> None:
    arrays = decoded(root)
    assert arrays.scenes is not None
    seen = 0
    for image_SSC, (scene, left, top) in zip(arrays.images_NHWC, arrays.scenes.tile_N3, strict=True):
        if left % 1 == 0 and top % 1 == 0:
            x, y, seen = int(left), int(top), seen + 1
            whole = arrays.scenes.image(int(scene))
            np.testing.assert_array_equal(whole[y : y + SIDE, x : x + SIDE], image_SSC)
    assert seen > 10


def test_tiles_know_their_scene(root: Path) -> None:
    arrays, listed = decoded(root), HRPlanes(root, name="hrplanes", image_size=SIDE, tile=TILE).scan()
    assert arrays.scenes is not None
    for sample, (scene, left, top) in zip(listed.samples, arrays.scenes.tile_N3, strict=True):
        assert sample.window is not None
        assert listed.scenes[int(scene)].path == sample.path
        assert (2 * left, 2 * top) == sample.window[:2]
        parts = tiles.inside(arrays.scenes.boxes(int(scene)).tolist(), sample.window).parts
        assert np.array(parts) == pytest.approx(np.array(sample.boxes))


def test_scenes_follow_their_tiles_into_the_folds(root: Path) -> None:
    whole = decoded(root)
    validated = set()
    for fold in range(3):
        arrays = parted(whole, Split(kind="kfold", folds=3, fold=fold))
        assert arrays.scenes is not None
        of_tile_N = arrays.scenes.tile_N3[:, 0]
        for split in ("train", "val", "test"):
            assert set(of_tile_N[arrays.splits[split]]) <= set(arrays.scenes.splits[split].tolist())
        assert arrays.scenes.splits["test"].tolist() == [1]
        validated |= set(arrays.scenes.splits["val"].tolist())
    assert validated == {0, 2, 3, 4, 5}


def test_a_scene_that_a_plan_leaves_out_is_not_evaluated(root: Path) -> None:
    found = decoded(root, Plan(drop={"img/s0.jpg": "blurred"})).scenes
    assert found is not None
    assert len(found) == 5
    assert found.splits["val"].tolist() == [4]
    assert found.boxes(4).tolist() == []


def test_scenes_belong_to_the_key(root: Path) -> None:
    first = decoded(root).fingerprint
    (root / "img" / "s5.txt").write_text("0 0.5 0.5 0.001 0.001\n")
    assert decoded(root).fingerprint != first
