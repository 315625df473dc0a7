"""Likeness by its formulas, and copies of every kind, planted in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.datasets.cleaning import cleaned
from raytune_planes.datasets.hygiene import Findings, examine
from raytune_planes.datasets.hygiene.copies import cosine, similarity
from raytune_planes.datasets.planesnet import Chip, PlanesNet, write
from tests.datasets.test_image_folder import reader


def smooth(seed: int, side: int = 40) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three splits of two classes, three pictures each."""
    for s, split in enumerate(("train", "val", "test")):
        for label, name in enumerate(("a", "b")):
            (tmp_path / split / name).mkdir(parents=True)
            for n in range(3):
                smooth(100 * s + 10 * label + n).save(tmp_path / split / name / f"{n}.png")
    return tmp_path


def found(root: Path) -> Findings:
    return examine(reader(root))


def test_similarity_is_that_of_its_paper_with_even_windows() -> None:
    random = np.random.default_rng(0)
    one = random.uniform(0, 255, (1, 12, 12))
    other = one + random.normal(0, 20, (1, 12, 12))
    values = []
    for top in range(6):
        for left in range(6):
            x, y = (p[0, top : top + 7, left : left + 7] for p in (one, other))
            light = (2 * x.mean() * y.mean() + 6.5025) / (x.mean() ** 2 + y.mean() ** 2 + 6.5025)
            covariance = ((x - x.mean()) * (y - y.mean())).mean()
            values.append(light * (2 * covariance + 58.5225) / (x.var() + y.var() + 58.5225))
    assert similarity(one, other)[0] == pytest.approx(np.mean(values))
    assert similarity(one, one)[0] == pytest.approx(1)


def test_cosine_is_about_the_means_so_that_brightness_alone_is_nothing() -> None:
    random = np.random.default_rng(1)
    one = random.integers(0, 100, (1, 8, 8, 3))
    assert cosine(one, one * 2 + 30)[0] == pytest.approx(1)
    assert abs(cosine(one + 150, random.integers(150, 250, (1, 8, 8, 3)))[0]) < 0.3


def test_clean_pictures_have_no_faults(root: Path) -> None:
    findings = found(root)
    assert not any(findings.faults.values())
    assert findings.plan().drop == {}
    assert findings.plan().copies == ()


@pytest.mark.parametrize(
    ("change", "turned", "resized"),
    [
        (lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT), True, False),
        (lambda p: p.transpose(Image.Transpose.ROTATE_90), True, False),
        (lambda p: p.resize((64, 64), Image.Resampling.BICUBIC), False, True),
        (lambda p: p.point(lambda v: min(255, v + 3)), False, False),
    ],
    ids=["mirrored", "turned", "resized", "brightened"],
)
def test_a_changed_copy_in_another_split_is_found_and_leaves_the_earlier_split(
    root: Path, change: Callable[[Image.Image], Image.Image], turned: bool, resized: bool
) -> None:
    change(smooth(0)).save(root / "test" / "a" / "copy.png")
    findings = found(root)
    (pair,) = findings.copies.within
    assert {findings.pictures.names[i] for i in pair[:2]} == {"train/a/0.png", "test/a/copy.png"}
    assert (pair.turned, pair.resized) == (turned, resized)
    assert findings.faults["near copies in several splits"] == 1
    assert set(findings.plan().copies[0]) == {"train/a/0.png", "test/a/copy.png"}
    kept = cleaned(findings.listing, root, findings.plan())
    assert {split: len(index) for split, index in kept.splits.items()} == {"train": 5, "val": 6, "test": 7}


def test_of_identical_pictures_the_one_in_the_latest_split_stays(root: Path) -> None:
    smooth(0).save(root / "val" / "a" / "same.bmp")  # the same pixels in another format
    findings = found(root)
    assert findings.plan().drop == {"train/a/0.png": "identical to val/a/same.bmp"}
    assert findings.faults["identical pictures in several splits"] == 1
    assert not findings.copies.within


def test_of_identical_pictures_with_several_labels_none_stays(root: Path) -> None:
    smooth(0).save(root / "train" / "b" / "same.png")
    findings = found(root)
    assert set(findings.plan().drop) == {"train/a/0.png", "train/b/same.png"}
    assert findings.faults["identical pictures with several labels"] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        lambda p: p.resize((64, 64), Image.Resampling.BICUBIC),
        lambda p: p,
    ],
    ids=["flipped", "resized", "identical"],
)
def test_copies_under_two_labels_leave_the_training_as_was_asked(
    root: Path, change: Callable[[Image.Image], Image.Image]
) -> None:
    change(smooth(0)).save(root / "val" / "b" / "copy.png")
    findings = found(root)
    both = {"train/a/0.png", "val/b/copy.png"}
    assert sum(count for what, count in findings.faults.items() if "several labels" in what) == 1

    def kept(conflicts: str) -> set[str]:
        listing = cleaned(findings.listing, root, findings.plan(conflicts))
        return {sample.path.relative_to(root).as_posix() for sample in listing.samples} & both

    assert kept("drop") == set()
    assert kept("one") == {"val/b/copy.png"}
    assert findings.plan("keep").drop == {}
    assert [set(group) for group in findings.plan("keep").copies] == [both]
    assert findings.plan() == findings.plan("drop")


def test_a_copy_under_another_label_takes_all_identical_twins_with_it_or_stays_alone(root: Path) -> None:
    smooth(0).save(root / "test" / "a" / "same.png")
    smooth(0).transpose(Image.Transpose.ROTATE_180).save(root / "train" / "b" / "turned.png")
    findings = found(root)
    assert findings.plan().drop == {
        "train/a/0.png": "identical to test/a/same.png",
        "test/a/same.png": "near copy of train/b/turned.png, with another label",
        "train/b/turned.png": "near copy of test/a/same.png, with another label",
    }
    assert findings.plan("one").drop.keys() == {"train/a/0.png", "train/b/turned.png"}
    assert findings.plan("one").copies == ()


def test_a_flipped_copy_of_pictures_that_have_two_labels_goes_with_them(root: Path) -> None:
    smooth(0).save(root / "train" / "b" / "same.png")
    smooth(0).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "val" / "a" / "flipped.png")
    findings = found(root)
    assert set(findings.plan().drop) == {"train/a/0.png", "train/b/same.png", "val/a/flipped.png"}
    listing = cleaned(findings.listing, root, findings.plan("one"))
    left = {s.path.relative_to(root).as_posix() for s in listing.samples}
    assert left & set(findings.plan().drop) == {"val/a/flipped.png"}


def test_a_copy_of_a_dropped_twin_is_kept_with_the_twin_that_stays(root: Path) -> None:
    smooth(0).save(root / "test" / "a" / "same.png")
    smooth(0).transpose(Image.Transpose.ROTATE_180).save(root / "train" / "a" / "turned.png")
    plan = found(root).plan()
    assert plan.drop == {"train/a/0.png": "identical to test/a/same.png"}
    assert set(plan.copies[0]) == {"test/a/same.png", "train/a/turned.png"}


def test_blank_pictures_are_no_copies_of_each_other(root: Path) -> None:
    for n, shade in enumerate((200, 201, 202)):
        Image.new("RGB", (40, 40), (shade,) * 3).save(root / "train" / "a" / f"blank {n}.png")
    findings = found(root)
    assert findings.copies.blank == 3
    assert not findings.copies.within


def test_what_is_unreadable_is_named_and_dropped_and_the_rest_looked_at(root: Path) -> None:
    (root / "train" / "a" / "1.png").write_bytes(b"nothing")
    findings = found(root)
    assert findings.plan().drop == {"train/a/1.png": "unreadable"}
    assert "1.png cannot be decoded" in findings.pictures.unreadable["train/a/1.png"]
    assert len(findings.pictures) == 17


def test_a_format_other_than_the_suffix_says_is_counted_with_modes_and_sizes(root: Path) -> None:
    smooth(7, 24).convert("RGBA").save(root / "train" / "a" / "x.jpg", format="PNG")
    told = found(root).as_json()
    assert told["misnamed"] == 1
    assert told["modes"] == {"RGB": 18, "RGBA": 1}
    assert told["sizes"]["most_common"] == {"40 x 40": 18, "24 x 24": 1}
    assert told["samples"]["train"] == {"a": 4, "b": 3}
    assert sum(told["brightness"]["histogram"]) == 19


def test_shifted_crops_of_a_plane_are_found_in_its_scene_only(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    east = 1 / 111_320 / np.cos(np.radians(33.9))  # degrees of a metre

    def chip(label: int, scene: int, metres: float) -> Chip:
        pixels = random.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        return Chip(pixels, label, f"scene_{scene}", -118.4 + metres * east, 33.9)

    far = [chip(label, scene, 1000 * (1 + scene + 5 * label)) for scene in range(4) for label in (0, 1)]
    write(tmp_path, [*far, chip(1, 0, 0), chip(0, 0, 59), chip(0, 0, 61), chip(0, 1, 10)])
    findings = examine(PlanesNet(tmp_path, name="planesnet", image_size=20, tile=320))
    names = [findings.pictures.names[i] for i in findings.copies.crops[0]]
    assert len(findings.copies.crops) == 1
    assert [name.split("/")[-1][0] for name in names] == ["1", "0"]
    assert float(names[1].split("__")[2].split("_")[0]) == pytest.approx(-118.4 + 59 * east)


def test_the_known_faults_of_the_real_chips_are_found(real: Path) -> None:
    findings = examine(PlanesNet(real / "planesnet", name="planesnet", image_size=20, tile=320))
    told = findings.as_json()["copies"]
    assert (told["identical"]["groups"], told["identical"]["both_labels"]) == (13, 3)
    assert told["overlapping_crops"]["pictures"] == 4518
    assert told["within_class"]["across_splits"] > 0
