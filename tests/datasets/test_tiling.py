"""The tile's side follows the training boxes, and the boxes that are cut are counted right."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_planes.config import Dataset
from raytune_planes.datasets import notes, reader, tiles
from raytune_planes.datasets.cache import decode
from raytune_planes.datasets.fingerprint import fingerprint
from raytune_planes.datasets.hrplanes import HRPlanes, Scene, write
from raytune_planes.datasets.info import USUAL_TILE, Info
from raytune_planes.datasets.options import Options
from raytune_planes.datasets.tiling import LARGEST, MOST_CUT, OVERLAP, STEP, Tiling
from raytune_planes.settings import make_config

SIDES = st.integers(8, 60)
CORNERS = st.tuples(st.integers(0, 500), st.integers(0, 300))


@pytest.mark.parametrize(
    ("overlap", "box", "cut"),
    [
        (0.0, (90, 0, 110, 20), 1),  # across the border of the first two tiles
        (0.0, (80, 0, 100, 20), 0),  # up to the border
        (0.0, (0, 90, 20, 110), 1),
        (0.0, (0, 0, 101, 20), 1),  # larger than a tile
        (0.25, (90, 0, 110, 20), 0),  # the second tile begins at 67
        (0.25, (66, 0, 101, 20), 1),
    ],
)
def test_a_box_is_cut_that_is_whole_in_no_tile(overlap: float, box: tuple[int, ...], cut: int) -> None:
    assert Tiling(100, overlap).cut([(300, 300, [tuple(map(float, box))])]) == cut  # type: ignore[list-item]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(CORNERS, SIDES, SIDES), min_size=1, max_size=12), st.sampled_from([0.0, 0.25, 0.5]))
def test_the_count_is_that_of_looking_at_every_tile(boxes: list, overlap: float) -> None:
    rects = [(x, y, min(560, x + w), min(360, y + h)) for (x, y), w, h in boxes]
    windows = list(tiles.windows(560, 360, 96, overlap))
    whole = [any(a <= x0 and b <= y0 and x1 <= c and y1 <= d for a, b, c, d in windows) for x0, y0, x1, y1 in rects]
    assert Tiling(96, overlap).cut([(560, 360, rects)]) == whole.count(False)


def scattered(side: int, seed: int = 0, count: int = 400, extent: int = 2560) -> tuple[int, int, list]:
    corner = np.random.default_rng(seed).uniform(0, extent - side, (count, 2))
    return extent, extent, [(x, y, x + side, y + side) for x, y in corner.tolist()]


def test_auto_is_the_smallest_side_that_cuts_at_most_a_tenth() -> None:
    scenes = [scattered(50), scattered(60, 1), scattered(120, 2)]
    found = Tiling.of("auto", scenes)
    boxes = sum(len(boxes) for *_, boxes in scenes)
    assert found.overlap == OVERLAP
    assert found.side % STEP == 0
    assert found.cut(scenes) <= MOST_CUT * boxes
    smaller = range(2 * 60 // STEP * STEP + STEP, found.side, STEP)  # from twice the median box on
    assert all(Tiling(side, OVERLAP).cut(scenes) > MOST_CUT * boxes for side in smaller)
    assert Tiling.of("auto", scenes) == found
    assert Tiling.of("auto", [scattered(100), scattered(120, 1), scattered(240, 2)]).side > found.side


def test_auto_is_no_larger_than_the_largest_scene_or_eight_planes() -> None:
    huge = [(400, 300, [(5.0, 5.0, 395.0, 295.0)])]
    assert Tiling.of("auto", huge).side == 300
    lengthy = [(5000, 5000, [(0.0, 0.0, 40.0, 40.0)] * 8 + [(0.0, 0.0, 3000.0, 9.0)] * 2)]
    assert Tiling.of("auto", lengthy).side == LARGEST * 40
    assert Tiling.of("auto", [(400, 300, [])]).side == USUAL_TILE
    assert Tiling.of(100, huge) == Tiling(100, 0.0)


def root_with(folder: Path, sides: dict[str, int]) -> Path:
    """Three scenes of 640 px; in that of each split, 16 boxes of a side of its own, on a lattice."""
    scenes = []
    for split, side in sides.items():
        boxes = tuple((160.0 * x + 20, 160.0 * y + 20, 160.0 * x + 20 + side, 160.0 * y + 20 + side)
                      for x, y in product(range(4), range(4)))  # fmt: skip
        pixels = np.zeros((640, 640, 3), np.uint8)
        for left, top, right, bottom in boxes:
            pixels[int(top) : int(bottom), int(left) : int(right)] = 255
        scenes.append(Scene(split, pixels, boxes, split))
    write(folder, scenes)
    return folder


def auto(root: Path, **options: str) -> HRPlanes:
    return HRPlanes(root, name="hrplanes", image_size=32, tile="auto", options=Options(**options))  # type: ignore[arg-type]


def test_only_the_training_boxes_decide(tmp_path: Path) -> None:
    first = auto(root_with(tmp_path / "a", {"train": 40, "val": 120, "test": 20}))
    second = auto(root_with(tmp_path / "b", {"train": 40, "val": 30, "test": 130}))
    other = auto(root_with(tmp_path / "c", {"train": 80, "val": 30, "test": 130}))
    assert first.scan().info == second.scan().info
    assert first.tile == second.tile == first.scan().info.tile < other.scan().info.tile


def test_the_side_and_the_cut_boxes_are_told_kept_and_part_of_the_key(tmp_path: Path) -> None:
    root = root_with(tmp_path / "a", {"train": 40, "val": 40, "test": 40})
    arrays = decode(auto(root), tmp_path / "cache")
    info = arrays.info
    boxes = [(640, 640, [(160 * x + 20, 160 * y + 20, 160 * x + 60, 160 * y + 60) for x in range(4) for y in range(4)])]
    assert (info.train_boxes, info.train_boxes_cut) == (16, Tiling(info.tile, 0.25).cut(boxes))
    assert Info.of_json(asdict(info)) == info
    assert arrays.warnings == tuple(notes.warnings_of(info))
    assert notes.warnings_of(info)[0] == (
        f"scenes are cut into tiles of {info.tile} px, neighbours sharing 25% of their side: {info.train_boxes_cut} of "
        f"16 training boxes ({info.train_boxes_cut / 16:.0%}) are cut in every tile"
    )
    fixed = HRPlanes(root, name="hrplanes", image_size=32, tile=100)
    told = fixed.scan().info
    # Tiles begin at 0, 90, 180, ... : of each row, one box is cut at 180 + ... and so on; counted by hand below.
    spans = [(160 * n + 20, 160 * n + 60) for n in range(4)]
    whole = sum(any(start <= a and b <= start + 100 for start in tiles.starts(640, 100, 0)) for a, b in spans)
    assert (told.tile, told.tile_overlap, told.train_boxes_cut) == (100, 0, 16 - whole**2)
    assert fingerprint(fixed, fixed.scan()) != arrays.fingerprint


def test_the_setting_reaches_the_reader() -> None:
    asked = make_config({"datasets.hrplanes.tile": 448, "datasets.hrplanes.mask_shape": "ellipse"}).datasets["hrplanes"]
    found = reader("hrplanes", asked, Path("/nowhere"))
    assert (found.tile, found.options.mask_shape) == (448, "ellipse")
    found = reader("hrplanes", Dataset(), Path("/nowhere"))
    assert (found.tile_asked, found.tile) == ("auto", USUAL_TILE)


def test_an_ellipse_is_inscribed_in_its_box_and_cut_by_the_tile() -> None:
    mask_HW = tiles.ellipses([(20.0, 30.0, 80.0, 70.0)], 100, 100, 200)
    assert mask_HW.mean() == pytest.approx(np.pi / 4 * 60 * 40 / 100**2, rel=0.01)
    rows, columns = np.nonzero(mask_HW)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (60, 139, 40, 159)
    half_HW = tiles.ellipses([(-30.0, 30.0, 30.0, 70.0)], 100, 100, 200)
    np.testing.assert_array_equal(half_HW[:, :60], mask_HW[:, 100:160])
    assert tiles.ellipses([(63.0, 63.0, 63.5, 63.5)], 64, 64, 8)[7, 7] == 1
    assert tiles.ellipses([(-5.0, 0.0, -4.0, 1.0)], 64, 64, 8).sum() == 0


def test_the_masks_of_decoded_tiles_are_drawn_in_the_shape_that_is_asked_for(tmp_path: Path) -> None:
    root = root_with(tmp_path / "a", {"train": 40, "val": 40, "test": 40})
    rectangles, ellipses = (
        decode(auto(root, mask_shape=shape), tmp_path / "cache") for shape in ("rectangle", "ellipse")
    )
    assert rectangles.fingerprint != ellipses.fingerprint
    assert rectangles.masks_NHW is not None
    assert ellipses.masks_NHW is not None
    assert ((ellipses.masks_NHW == 1) <= (rectangles.masks_NHW == 1)).all()
    assert ellipses.masks_NHW.sum() / rectangles.masks_NHW.sum() == pytest.approx(np.pi / 4, abs=0.06)
    assert "masks are ellipses inscribed in the labels' boxes" in " ".join(ellipses.warnings)
    assert "masks are the labels' boxes, filled" in " ".join(rectangles.warnings)
