"""Augmented copies on disk lie in the group of their source and only train, however the pictures are split."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.config import Split
from raytune_planes.datasets.base import SPLITS, Listing
from raytune_planes.datasets.cache import decode
from raytune_planes.datasets.folds import parted
from raytune_planes.datasets.split_folders import augmented_name, is_augmented, source_name
from tests.datasets.label_formats.exports import scene, yolo
from tests.datasets.test_image_folder import classes, mask, picture, reader


def written(out: Path) -> Listing:
    return reader(out).scan()


def by_split(listing: Listing) -> dict[str, list[str]]:
    return {split: [listing.samples[i].path.name for i in listing.splits[split]] for split in SPLITS}


def test_copies_are_in_the_group_of_their_source_and_in_training_alone(tmp_path: Path) -> None:
    source, out = classes(tmp_path / "own"), tmp_path / "new"
    before = reader(source).scan()
    assert main(["augment", str(source), "--out", str(out), "--copies", "2"]) == 0
    listing = written(out)
    parts = by_split(listing)
    assert Counter(map(is_augmented, parts["train"])) == {False: len(before.splits["train"]), True: 32}
    assert not any(is_augmented(name) for split in ("val", "test") for name in parts[split])
    assert [len(parts[split]) for split in ("val", "test")] == [len(before.splits[split]) for split in ("val", "test")]
    group_of = {sample.path.name: sample.group for sample in listing.samples}
    for name, group in group_of.items():
        if is_augmented(name):
            assert group_of[str(source_name(name))] == group
    bytes_of = {path.read_bytes() for path in source.rglob("*.png")}
    assert bytes_of == {s.path.read_bytes() for s in listing.samples if not is_augmented(s.path.name)}
    assert len({s.path.read_bytes() for s in listing.samples}) == 20 + 32, "every copy is another picture"


def test_copies_are_not_copied_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, once, twice = classes(tmp_path / "own"), tmp_path / "once", tmp_path / "twice"
    assert main(["augment", str(source), "--out", str(once), "--copies", "20"]) == 0
    assert main(["augment", str(once), "--out", str(twice)]) == 0
    assert "320 pictures that augment wrote earlier, left out" in capsys.readouterr().err
    parts = by_split(written(twice))
    assert Counter(map(is_augmented, parts["train"])) == {False: 16, True: 16}


def test_what_ends_midway_leaves_nothing_and_a_folder_inside_the_pictures_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = classes(tmp_path / "own"), tmp_path / "new"
    before = sorted(tmp_path.rglob("*"))
    assert main(["augment", str(source), "--out", str(source / "new")]) == 2
    assert "lies in" in capsys.readouterr().err
    out.mkdir()
    calls, real = list[int](), Image.Image.save

    def full(*args: object, **more: object) -> None:
        calls.append(1)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        real(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "save", full)
    assert main(["augment", str(source), "--out", str(out)]) == 2
    assert "cannot be written: No space left on device" in capsys.readouterr().err
    assert not list(out.iterdir())
    out.rmdir()
    assert sorted(tmp_path.rglob("*")) == before


def test_no_copy_validates_on_any_fold_and_none_trains_where_its_source_validates(tmp_path: Path) -> None:
    source, out = classes(tmp_path / "own"), tmp_path / "new"
    assert main(["augment", str(source), "--out", str(out)]) == 0
    own = reader(out)
    arrays, samples = decode(own, tmp_path / "cache"), own.scan().samples
    validated: list[int] = []
    for fold in range(4):
        split = Split(kind="kfold", folds=4, fold=fold)
        folded = parted(arrays, split)
        val, train = ({int(i) for i in folded.splits[name]} for name in ("val", "train"))
        assert val
        assert not any(is_augmented(samples[i].path.name) for i in val)
        assert any(is_augmented(samples[i].path.name) for i in train)
        assert not {samples[i].group for i in val} & {samples[i].group for i in train}
        validated += val
    pool = [*arrays.splits["train"].tolist(), *arrays.splits["val"].tolist()]
    assert sorted(validated) == sorted(i for i in pool if not is_augmented(samples[i].path.name))


def test_without_folders_of_splits_copies_still_only_train(tmp_path: Path) -> None:
    source, out, flat = classes(tmp_path / "own"), tmp_path / "new", tmp_path / "flat"
    assert main(["augment", str(source), "--out", str(out), "--copies", "3"]) == 0
    for split in SPLITS:
        shutil.copytree(out / "images" / split, flat, dirs_exist_ok=True)
    for path in list(flat.rglob("*.png")):  # those of val and test get copies as well
        if not is_augmented(path.name) and not list(path.parent.glob("*.aug.*")):
            shutil.copyfile(path, path.with_name(augmented_name(path.name, "0" * 8)))
    listing = written(flat)
    parts = by_split(listing)
    assert not any(is_augmented(name) for split in ("val", "test") for name in parts[split])
    groups = {split: {listing.samples[i].group for i in listing.splits[split]} for split in SPLITS}
    assert not groups["train"] & (groups["val"] | groups["test"])
    assert any(
        "augmented copies of pictures in val or test, left out: copies only train" in w for w in listing.warnings
    )


def test_balance_makes_every_class_of_training_as_large(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = classes(tmp_path / "own", 20)
    for n in range(12):
        picture(source / "rare" / f"{n}.png")
    assert main(["augment", str(source), "--out", str(tmp_path / "new"), "--balance", "--copies", "0"]) == 0
    listing = written(tmp_path / "new")
    counts = Counter(listing.samples[i].label for i in listing.splits["train"])
    assert len(set(counts.values())) == 1
    copies = Counter(source_name(n) for n in by_split(listing)["train"] if is_augmented(n))
    assert max(copies.values()) - min(copies.values()) <= 1, "spread evenly"
    assert "rare " in capsys.readouterr().out


def test_a_mask_follows_its_picture(tmp_path: Path) -> None:
    source = tmp_path / "own"
    for name in ("a", "b"):
        for n in range(10):
            shown = np.zeros((32, 32), np.uint8)
            shown[8:16, 4 : 12 + n] = 255
            mask(source / "masks" / name / f"{n}.png", shown)
            (source / name).mkdir(exist_ok=True, parents=True)
            Image.fromarray(np.stack([shown] * 3, 2)).save(source / name / f"{n}.png")
    changes = ["--with", "color=0", "--with", "rotate=40"]
    assert main(["augment", str(source), "--out", str(tmp_path / "new"), *changes]) == 0
    listing = written(tmp_path / "new")
    copies = [sample for sample in listing.samples if is_augmented(sample.path.name)]
    assert copies
    for sample in copies:
        assert sample.mask is not None
        seen, drawn = (np.asarray(Image.open(path).convert("L")) > 127 for path in (sample.path, sample.mask))
        assert (seen != drawn).mean() < 0.05, "the edge, which is read between pixels"


def test_crops_of_boxes_are_planes_in_the_split_of_their_scene(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        for n in range(3):
            scene(tmp_path / "own" / split / "images" / f"{split}{n}.png")
            yolo(tmp_path / "own" / split / "labels" / f"{split}{n}.txt")
    assert main(["augment", str(tmp_path / "own"), "--out", str(tmp_path / "new"), "--crops", "--copies", "1"]) == 0
    listing = written(tmp_path / "new")
    assert listing.info.classes == ("background", "plane")
    for split, given in (("train", "train"), ("val", "valid"), ("test", "test")):
        names = by_split(listing)[split]
        assert names
        assert all(given in name for name in names)
        assert any(map(is_augmented, names)) == (split == "train")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--with", "cutmix=1"], "cutmix blends pictures of several classes, and a copy on disk has one"),
        (["--with", "rotat=1"], "no setting 'datasets.mine.augment.rotat'"),
    ],
)
def test_what_no_copy_can_be_is_refused(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["augment", str(classes(tmp_path / "own")), "--out", str(tmp_path / "new"), *more]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_nothing_is_written_into_a_folder_that_holds_something(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = classes(tmp_path / "own")
    assert main(["augment", str(source), "--out", str(source)]) == 2
    assert "holds something already; name a new folder with --out" in capsys.readouterr().err
