"""Moved tiles are windows of their scenes: pictures, masks, boxes and labels fit each other and reach every place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from raytune_planes.config import Augment, Dataset
from raytune_planes.datasets import cache, tiles
from raytune_planes.datasets.base import Arrays, Options
from raytune_planes.datasets.crops import Seen
from raytune_planes.datasets.eval_batches import eval_batches
from raytune_planes.datasets.hrplanes import HRPlanes, Scene, write
from raytune_planes.datasets.loaders import TrainStream
from raytune_planes.datasets.pixels import Pixels, Targets
from raytune_planes.datasets.scene_crops import SceneCrops
from raytune_planes.scenes.score import drawn

SIDE, TILE = 32, 64
STILL = Augment(flips=False, rotate=0, scale=0, shift=0, color=0)


def arrays(folder: Path, shape: str = "rectangle") -> Arrays:
    """Scenes of 256 x 192 px whose red tells the column and whose green the row; planes are blue."""
    rows, columns = np.mgrid[:192, :256]
    scenes = []
    for n, split in enumerate(("train", "train", "val", "test")):
        boxes = ((20.0 + 8 * n, 40.0, 60.0 + 8 * n, 80.0), (150.0, 90.0, 200.0, 150.0))
        pixels = np.stack([columns, rows, 0 * rows], 2).astype(np.uint8)
        for left, top, right, bottom in boxes:
            pixels[int(top) : int(bottom), int(left) : int(right), 2] = 255
        scenes.append(Scene(f"s{n}", pixels, boxes, split))
    write(folder / "data", scenes, quality=100)
    reader = HRPlanes(folder / "data", name="hrplanes", image_size=SIDE, tile=TILE, options=Options(mask_shape=shape))
    return cache.decode(reader, folder / "cache")


def test_what_is_seen_of_a_moved_tile_fits_its_picture(tmp_path: Path) -> None:
    whole = arrays(tmp_path)
    random, train_N = np.random.default_rng(0), whole.splits["train"]
    found = SceneCrops(whole).near(random.choice(train_N, 200), random.random((200, 2)))
    assert found.masks_NHW is not None
    assert found.boxes_NM4 is not None
    blue_NHW = found.images_NHWC[..., 2] > 128
    assert (blue_NHW != found.masks_NHW).mean() < 0.02
    assert 20 < found.labels_N.sum() < 180
    for boxes_M4, mask_HW, label in zip(found.boxes_NM4, found.masks_NHW, found.labels_N, strict=True):
        present = tuple(map(tuple, boxes_M4[boxes_M4[:, 2] > 0].tolist()))
        assert bool(present) == bool(label)
        np.testing.assert_array_equal(tiles.mask(present, 1, 1, SIDE), mask_HW)


def test_places_are_those_that_were_drawn_and_lie_in_the_scene(tmp_path: Path) -> None:
    whole = arrays(tmp_path)
    assert whole.scenes is not None
    corner = next(n for n in whole.splits["train"] if whole.scenes.tile_N3[n, 1:].tolist() == [0, 0])
    draws = np.array([[0.5, 0.5], [0.99999, 0.5], [0.0, 0.0], [0.75, 0.875]])
    found = SceneCrops(whole).near(np.repeat(corner, 4), draws)
    for image_HWC, (left, top) in zip(found.images_NHWC, [(0, 0), (16, 0), (0, 0), (8, 12)], strict=True):
        assert image_HWC[:, 0, 0].mean() == pytest.approx(2 * left + 0.5, abs=3)
        assert image_HWC[0, :, 1].mean() == pytest.approx(2 * top + 0.5, abs=3)


def test_moved_tiles_reach_every_place_of_a_scene(tmp_path: Path) -> None:
    whole = arrays(tmp_path)
    random = np.random.default_rng(1)
    found = SceneCrops(whole).near(random.choice(whole.splits["train"], 3000), random.random((3000, 2)))
    left_N = np.round((found.images_NHWC[:, SIDE // 2, 0, 0].astype(float)) / 2).astype(int)
    reached = np.unique(left_N)  # of 0 to 96, a few levels off in JPEG
    assert reached[0] <= 2
    assert reached[-1] >= 94
    assert np.diff(reached).max() <= 2


def test_an_ellipse_is_cut_by_the_window_and_not_squeezed_into_it(tmp_path: Path) -> None:
    whole = arrays(tmp_path, "ellipse")
    assert whole.scenes is not None
    corner = next(n for n in whole.splits["train"] if whole.scenes.tile_N3[n].tolist() == [0, 0, 0])
    found = SceneCrops(whole).near(np.array([corner]), np.array([[0.99999, 0.99999]]))
    assert found.masks_NHW is not None
    assert found.boxes_NM4 is not None
    expected_HW = drawn(whole.scenes.boxes(0), 2.0, "ellipse", 96, 128)[16:48, 16:48]
    assert (found.masks_NHW[0] != expected_HW).sum() <= 2
    assert expected_HW[:, 0].any()  # cut at the left edge
    assert found.boxes_NM4[0, 0] * SIDE == pytest.approx(np.array([0, 4, 14, 24]), abs=0.01)


def stream(whole: Arrays, **changes: object) -> TrainStream:
    settings = Dataset(image_size=SIDE, augment=STILL, **changes)  # type: ignore[arg-type]
    return TrainStream(whole, settings, 16, seed=3, pixels=Pixels(whole, targets=Targets(boxes=True)))


def test_a_worker_s_part_is_that_of_the_whole_batch_bit_for_bit(tmp_path: Path) -> None:
    of = stream(arrays(tmp_path), train_tiles="moved")
    whole, parts = of.batch(5), [of.batch(5, rank, 2) for rank in (0, 1)]
    assert torch.equal(whole.image_BCHW, torch.cat([part.image_BCHW for part in parts]))
    assert torch.equal(whole.label_B, torch.cat([part.label_B for part in parts]))
    assert torch.equal(of.batch(5).image_BCHW, whole.image_BCHW)
    assert not torch.equal(of.batch(6).image_BCHW, whole.image_BCHW)


def test_fixed_tiles_are_those_of_the_cache_and_evaluation_always_sees_them(tmp_path: Path) -> None:
    whole = arrays(tmp_path)
    of = stream(whole, train_tiles="fixed")
    expected = torch.from_numpy(whole.images_NHWC[of.indexes(0)].copy()).permute(0, 3, 1, 2).float() / 255
    assert torch.equal(of.batch(0).image_BCHW, (expected - 0.5) / 0.25)
    moved = stream(whole, train_tiles="moved").batch(0)
    assert (moved.image_BCHW != of.batch(0).image_BCHW).any()
    (seen,) = eval_batches(whole, "val", 512)
    expected = torch.from_numpy(whole.images_NHWC[whole.splits["val"]].copy()).permute(0, 3, 1, 2).float() / 255
    assert torch.equal(seen.image_BCHW, (expected - 0.5) / 0.25)


def test_moved_tiles_of_a_larger_decoding_are_seen_at_the_model_s_size(tmp_path: Path) -> None:
    settings = Dataset(image_size=16, decoded_size=SIDE, augment=STILL, train_tiles="moved")
    whole = arrays(tmp_path)
    seen = Pixels(whole, targets=Targets(boxes=True), seen=Seen.of(settings))
    batch = TrainStream(whole, settings, 32, seed=3, pixels=seen).batch(0)
    assert batch.image_BCHW.shape == (32, 3, 16, 16)
    assert batch.mask_BHW is not None
    assert batch.boxes_BM4 is not None
    assert ((batch.image_BCHW[:, 2] > 0) != (batch.mask_BHW > 0.5)).float().mean() < 0.04
    alone = [n for n, boxes_M4 in enumerate(batch.boxes_BM4) if (boxes_M4[:, 2] > 0).sum() == 1]
    assert alone
    for n in alone:  # masks are whole pixels, boxes are not
        rows, columns = np.nonzero(batch.mask_BHW[n].numpy())
        extent = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        box_4 = batch.boxes_BM4[n][batch.boxes_BM4[n][:, 2] > 0][0].numpy()
        assert extent == pytest.approx(16 * box_4, abs=1)
