"""Every file and folder that a reader was given is used, or named with its count and reason."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from raytune_planes.datasets.base import Listing
from raytune_planes.datasets.fgvc import FGVCAircraft
from raytune_planes.datasets.hygiene import examine
from raytune_planes.datasets.image_folder import ImageFolder
from raytune_planes.datasets.links import Links
from raytune_planes.datasets.survey import Survey
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.errors import UserError
from tests.datasets.test_image_folder import classes, picture, reader

FOLDERS = ("a", "b/scene 1", "b/scene 2", "train/a", "valid/a", "train/b", "sample/a", "images/a", "masks/a", "c")
NAMES = ("1.png", "2.jfif", "3", "notes.txt", ".hidden", "Thumbs.db", "x.jpg")


def given_files(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if not path.is_dir() or path.is_symlink()}


def accounted(listing: Listing, root: Path) -> tuple[set[Path], set[Path]]:
    """The files that were read, and those that are named, themselves or by their folder."""
    named = {root / name for names in listing.account.left_out.values() for name in names}
    return set(listing.account.read), {p for p in given_files(root) if p in named or set(p.parents) & named}


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES)), max_size=30), st.sets(st.sampled_from("xyz"))
)
def test_what_is_used_and_what_is_named_are_together_what_was_given(
    tree: set[tuple[str, str]], empty: set[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for parent, name in sorted(tree):
            (root / parent).mkdir(parents=True, exist_ok=True)
            if name in ("notes.txt", ".hidden", "Thumbs.db"):
                (root / parent / name).write_text("0 0.5 0.5 0.1 0.1\n")
            else:
                Image.new("RGB", (8, 8)).save(root / parent / name, "PNG")
        for name in empty:
            (root / "a" / name).mkdir(parents=True)
        try:
            listing = reader(root).scan()
        except UserError:
            return
        read, named = accounted(listing, root)
        assert read & named == set()
        assert read | named == given_files(root)
        told = " ".join(listing.warnings)
        for reason, names in listing.account.left_out.items():
            assert f"{len(names)} {reason}: {names[0]}" in told


@pytest.mark.parametrize("name", ["planesnet", "hrplanes", "fgvc-aircraft-2013b"])
def test_the_public_formats_are_read_whole(name: str, tmp_path: Path) -> None:
    from raytune_planes.catalog import CATALOG
    from raytune_planes.config import Dataset
    from raytune_planes.datasets import reader as built

    synthesise(tmp_path, planesnet=60, hrplanes=3, fgvc=60, fgvc_classes=4, seed=0)
    (kind,) = (kind for kind, entry in CATALOG.items() if entry.folder == name)
    listing = built(kind, Dataset(tile=128), tmp_path).scan()
    assert accounted(listing, tmp_path / name) == (given_files(tmp_path / name), set())
    assert listing.account.left_out == {}


def test_a_stray_folder_beside_the_splits_is_left_out_and_no_class(tmp_path: Path) -> None:
    for split, count in (("train", 9), ("valid", 5), ("sample", 3)):
        classes(tmp_path / split, count, ("A", "B", "C"))
    listing = reader(tmp_path).scan()
    assert listing.info.classes == ("A", "B", "C")
    assert {split: len(index) for split, index in listing.splits.items()}["val"] == 15
    reason = "pictures outside of train/, valid/, in a folder that names no split, left out"
    assert len(listing.account.left_out[reason]) == 9
    assert f"9 {reason}: sample/A/00.png, sample/A/01.png, sample/A/02.png and 6 more" in listing.warnings
    assert examine(reader(tmp_path)).faults["pictures left out"] == 9


def test_one_split_beside_a_folder_with_the_same_classes_is_refused(tmp_path: Path) -> None:
    for top in ("train", "sample"):
        classes(tmp_path / top, 3, ("A", "B"))
    with pytest.raises(UserError, match=r"holds train/ and sample/ with the same folders inside: are they splits or"):
        reader(tmp_path).scan()


def test_scenes_of_a_class_called_train_are_no_splits(tmp_path: Path) -> None:
    for name in ("train", "bus"):
        for scene in range(5):
            picture(tmp_path / name / f"{name} {scene}" / "0.png")
    assert reader(tmp_path).scan().info.classes == ("bus", "train")


def test_splits_without_train_are_refused(tmp_path: Path) -> None:
    for top in ("val", "test"):
        classes(tmp_path / top, 3, ("A", "B"))
    with pytest.raises(UserError, match=r"holds test/, val/ and no train/; add it"):
        reader(tmp_path).scan()


def test_pictures_beside_a_folder_of_images_are_named(tmp_path: Path) -> None:
    classes(tmp_path / "images")
    picture(tmp_path / "glider" / "more.png")
    listing = reader(tmp_path).scan()
    assert listing.account.left_out == {"pictures outside of images/, left out": ("glider/more.png",)}


@pytest.mark.parametrize(
    ("suffix", "form"),
    [
        *((".jfif", "JPEG"), (".gif", "GIF"), (".ppm", "PPM"), (".avif", "AVIF"), (".jp2", "JPEG2000")),
        *((".webp", "WEBP"), (".bmp", "BMP"), (".tif", "TIFF"), ("", "PNG"), (".JPG", "JPEG"), (".dat", "TIFF")),
    ],
)
def test_content_decides_what_a_picture_is(tmp_path: Path, suffix: str, form: str) -> None:
    classes(tmp_path)
    (tmp_path / "b737").mkdir()
    for n in range(10):
        Image.new("RGB", (16, 16), (20 * n, 0, 0)).save(tmp_path / "b737" / f"{n}{suffix}", form)
    listing = reader(tmp_path).scan()
    assert listing.info.classes == ("b737", "big_jet", "glider")
    assert sum(sample.label == 0 for sample in listing.samples) == 10


def test_what_only_looks_like_a_picture_is_counted_as_unreadable(tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "glider" / "page.jpg").write_text("<html>not found</html>")
    found = examine(reader(tmp_path))
    assert found.faults["unreadable pictures"] == 1
    assert list(found.pictures.unreadable) == ["glider/page.jpg"]


def test_folders_that_are_empty_linked_or_of_the_disk_are_named(tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "a380").mkdir()
    os.symlink(tmp_path / "glider", tmp_path / "sailplane")
    os.symlink(tmp_path / "gone.png", tmp_path / "glider" / "link.png")
    os.mkfifo(tmp_path / "glider" / "pipe.png")
    picture(tmp_path / "lost+found" / "old.png")
    picture(tmp_path / "glider" / "._01.png")
    listing = reader(tmp_path).scan()
    assert listing.info.classes == ("big_jet", "glider")
    assert listing.account.left_out == {
        "folders without content": ("a380",),
        "paths left out as hidden": ("glider/._01.png",),
        "links to nothing": ("glider/link.png",),
        "files of a special kind (pipes, sockets, devices), left out": ("glider/pipe.png",),
        "folders of the file system, left out": ("lost+found",),
        "links to folders, not followed": ("sailplane",),
    }
    assert "1 folder without content: a380" in listing.warnings


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read everything")
def test_a_link_into_a_closed_folder_is_named(tmp_path: Path) -> None:
    classes(tmp_path / "root")
    (tmp_path / "closed").mkdir()
    os.symlink(picture(tmp_path / "closed" / "x.png"), tmp_path / "root" / "glider" / "x.png")
    (tmp_path / "closed").chmod(0)
    try:
        left = reader(tmp_path / "root").scan().account.left_out
        assert left == {"links to what may not be read": ("glider/x.png",)}
    finally:
        (tmp_path / "closed").chmod(0o755)


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read everything")
def test_a_folder_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "glider").chmod(0)
    try:
        with pytest.raises(UserError, match=r"glider cannot be read: Permission denied; allow reading it"):
            Survey(tmp_path, Links())
    finally:
        (tmp_path / "glider").chmod(0o755)


@pytest.fixture
def fgvc(tmp_path: Path) -> FGVCAircraft:
    synthesise(tmp_path, planesnet=60, hrplanes=3, fgvc=60, fgvc_classes=4, seed=0)
    return FGVCAircraft(tmp_path / "fgvc-aircraft-2013b", name="fgvc", image_size=32, tile=64)


def test_a_second_folder_of_the_same_pictures_is_left_out_and_counted(fgvc: FGVCAircraft) -> None:
    data = fgvc.root / "data"
    (data / "images_cropped").mkdir()
    for path in (data / "images").iterdir():
        Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(data / "images_cropped" / path.name)
    listing = fgvc.scan()
    assert {sample.path.parent for sample in listing.samples} == {data / "images"}
    assert len(listing.samples) == listing.account.unused_pictures == 60
    assert listing.warnings[0].startswith("60 pictures present again outside of images/, left out: data/i")


def test_two_folders_of_pictures_without_images_are_refused(fgvc: FGVCAircraft) -> None:
    data = fgvc.root / "data"
    (data / "images").rename(data / "full")
    shutil.copytree(data / "full", data / "cropped")
    with pytest.raises(UserError, match=r"is there 2 times: .*cropped/.*full/.*keep one of them, or put the pictures"):
        fgvc.scan()


def test_drawn_pictures_are_told_also_from_the_folder_above(fgvc: FGVCAircraft) -> None:
    above = FGVCAircraft(fgvc.root.parent, name="fgvc", image_size=32, tile=64)
    assert above.scan().synthetic


def test_a_class_folder_with_nothing_but_other_files_is_named(tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "a380").mkdir()
    (tmp_path / "a380" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
    listing = ImageFolder(tmp_path, name="mine", image_size=16, tile=320).scan()
    assert listing.account.left_out == {"files that this reader does not use": ("a380/photo.heic",)}
