"""Synthetic data: read back by the readers of the real formats, the same for the same seed, hard where it should be."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from raytune_planes.config import Dataset
from raytune_planes.datasets import reader
from raytune_planes.datasets.base import SPLITS, Listing
from raytune_planes.datasets.fleet import fleet
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.errors import UserError

SIZES = {"planesnet": 48, "hrplanes": 6, "fgvc": 36, "fgvc_classes": 6}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    synthesise(folder, **SIZES, seed=0)
    return folder


def scan(folder: Path, name: str) -> Listing:
    return reader(name, Dataset(), folder).scan()


def content(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", ["planesnet", "hrplanes", "fgvc"])
def test_every_split_holds_every_class_and_is_marked_as_drawn(drawn: Path, name: str) -> None:
    listing = scan(drawn, name)
    assert listing.synthetic
    assert listing.warnings == ()
    for split in SPLITS:
        labels = {listing.samples[i].label for i in listing.splits[split]}
        assert labels == set(range(len(listing.info.classes))), split


def test_the_counts_are_those_asked_for(drawn: Path) -> None:
    chips, scenes, photos = (scan(drawn, name) for name in ("planesnet", "hrplanes", "fgvc"))
    assert len(chips.samples) == 48
    assert len({sample.path for sample in scenes.samples}) == 6
    assert len(list((drawn / "hrplanes/img").glob("*.jpg"))) == 6
    assert Counter(sample.label for sample in photos.samples) == dict.fromkeys(range(6), 6)


def test_photos_that_do_not_divide_are_dealt_as_evenly_as_possible(tmp_path: Path) -> None:
    synthesise(tmp_path, planesnet=0, hrplanes=0, fgvc=20, fgvc_classes=3, seed=0)
    listing = scan(tmp_path, "fgvc")
    counts = Counter((s, listing.samples[i].label) for s in SPLITS for i in listing.splits[s])
    assert sum(counts.values()) == 20
    assert set(counts.values()) == {2, 3}
    assert not (tmp_path / "planesnet").exists()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(drawn: Path, tmp_path: Path) -> None:
    synthesise(tmp_path / "again", **SIZES, seed=0)
    assert content(tmp_path / "again") == content(drawn)
    synthesise(tmp_path / "other", **SIZES, seed=1)
    other = content(tmp_path / "other")
    assert not {digest for name, digest in other.items() if name.endswith(".jpg")} & set(content(drawn).values())
    assert scan(tmp_path / "other", "fgvc").info == scan(drawn, "fgvc").info


def test_boxes_hold_the_aircraft(drawn: Path) -> None:
    read = reader("hrplanes", Dataset(image_size=128), drawn)
    inside, outside = [], []
    for sample in (s for s in read.scan().samples if s.label):
        image_HWC, mask_HW = read.load(sample)
        inside.append(image_HWC[mask_HW == 1].std())
        outside.append(image_HWC[mask_HW == 0].std())
    assert np.mean(inside) > 1.2 * np.mean(outside)


def test_the_fleet_is_a_tree_with_awkward_names_and_shapes_of_its_own() -> None:
    craft = fleet(100)
    names = [variant.name for variant, _ in craft]
    families = {variant.family: variant.manufacturer for variant, _ in craft}
    assert len(set(names)) == 100
    assert any("/" in name for name in names)
    assert all(" " in name for name in names)
    assert 25 < len(families) < 60
    assert len(set(families.values())) < len(families) / 2
    assert len({shape for _, shape in craft}) == 100
    assert fleet(7) == craft[:7]


def test_variants_of_a_family_are_closer_than_those_of_others() -> None:
    def distance(a: int, b: int) -> float:
        left, right = craft[a][1], craft[b][1]
        measures = ("length", "width", "span", "chord", "taper", "wing_at", "tail_span")
        return sum(abs(getattr(left, m) / getattr(right, m) - 1) for m in measures)

    craft = fleet(40)
    pairs = [(a, b) for a in range(40) for b in range(a)]
    same = [distance(a, b) for a, b in pairs if craft[a][0].family == craft[b][0].family]
    others = [distance(a, b) for a, b in pairs if craft[a][0].family != craft[b][0].family]
    assert np.mean(same) < 0.4 * np.mean(others)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"planesnet": 10}, "planesnet = 10: at least 24 chips are needed, or 0 for none"),
        ({"hrplanes": 2}, "hrplanes = 2: at least 3 scenes are needed"),
        ({"fgvc": 10}, "fgvc = 10: at least 18 pictures are needed, one of each of 6 classes in each split"),
        ({"fgvc_classes": 1}, "fgvc-classes = 1: at least 2 are needed"),
        ({"planesnet": 1, "hrplanes": 1}, "synth: 2 problems"),
    ],
)
def test_counts_too_small_are_refused_before_anything_is_written(
    tmp_path: Path, sizes: dict[str, int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        synthesise(tmp_path / "data", **{**SIZES, **sizes}, seed=0)
    assert not (tmp_path / "data").exists()


def test_the_smallest_counts_can_be_read(tmp_path: Path) -> None:
    synthesise(tmp_path, planesnet=24, hrplanes=3, fgvc=6, fgvc_classes=2, seed=5)
    for name in ("planesnet", "hrplanes", "fgvc"):
        assert all(scan(tmp_path, name).splits.values())


def test_a_folder_with_files_is_not_mixed_with(drawn: Path) -> None:
    with pytest.raises(UserError, match=r"planesnet holds files already; give an empty folder"):
        synthesise(drawn, **SIZES, seed=0)


def test_drawing_is_fast(tmp_path: Path) -> None:
    start = time.process_time()
    synthesise(tmp_path, planesnet=150, hrplanes=3, fgvc=60, fgvc_classes=20, seed=0)
    assert time.process_time() - start < 4, "a tenth of what a study asks for; about 0.6 s was measured"


def test_planes_in_rows_touch_and_share_little_of_each_other() -> None:
    import torch

    from raytune_planes.datasets import drawing, oriented

    for number in range(6):
        pixels_HWC, boxes, corners = drawing.scene((3, number), 640, empty=False, touching=True)
        corners_1M8 = torch.tensor(corners, dtype=torch.float64)[None]
        shared_MM = oriented.iou(corners_1M8, corners_1M8)[0].fill_diagonal_(0)
        assert len(boxes) >= 2
        assert (shared_MM.amax(1) > 0.001).all(), "each touches another"
        assert shared_MM.max() < 0.1
        assert pixels_HWC.shape == (640, 640, 3)
        assert all(0 <= x0 < x1 <= 640 and 0 <= y0 < y1 <= 640 for x0, y0, x1, y1 in boxes)


def test_every_second_scene_has_rows_and_the_others_are_as_without(tmp_path: Path) -> None:
    counts = {"planesnet": 0, "hrplanes": 4, "fgvc": 0, "fgvc_classes": 0, "seed": 0}
    for name, touching in (("rows", True), ("plain", False)):
        synthesise(tmp_path / name, oriented=True, touching=touching, **counts)
    rows, plain = content(tmp_path / "rows"), content(tmp_path / "plain")
    assert rows.keys() == plain.keys()
    other = {name for name in rows if rows[name] != plain[name]}
    assert other
    assert not any("(2)" in name for name in other)
    assert {name for name in rows if name.endswith((".jpg", ".png")) and "(2)" not in name} <= other
