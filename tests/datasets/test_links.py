"""Links of a dataset: what is read through them, what is refused and by which setting, and that loops end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raytune_planes.config import Dataset
from raytune_planes.datasets import reader
from raytune_planes.datasets.base import Listing
from raytune_planes.datasets.cache import decode
from raytune_planes.datasets.fingerprint import fingerprint
from raytune_planes.datasets.hygiene import examine
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.errors import UserError
from raytune_planes.settings import make_config, path_made_absolute
from tests.datasets.test_image_folder import classes, picture

ELSEWHERE = "folders met again through a link, read once"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Another disk, with pictures of two classes."""
    return classes(tmp_path / "disk")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def scan(root: Path, *roots: Path, kind: str = "image_folder", follow: bool = True) -> Listing:
    settings = Dataset(reader=kind, root=str(root), follow_links=follow, link_roots=", ".join(map(str, roots)))
    return reader("mine", settings, None).scan()


def names(listing: Listing, root: Path) -> set[str]:
    return {sample.path.relative_to(root).as_posix() for sample in listing.samples}


def test_a_linked_class_folder_is_read_with_the_setting(root: Path, disk: Path) -> None:
    classes(root, names=("jet",))
    os.symlink(disk / "glider", root / "glider")
    listing = scan(root, disk)
    assert listing.info.classes == ("glider", "jet")
    assert names(listing, root) == {f"{name}/{n:02d}.png" for name in ("glider", "jet") for n in range(10)}
    assert listing.account.left_out == {}


def test_linked_split_folders_are_read_with_the_setting(root: Path, disk: Path) -> None:
    for split, count in (("train", 9), ("val", 3), ("test", 2)):
        classes(disk / split, count)
        os.symlink(disk / split, root / split)
    listing = scan(root, disk)
    assert {split: len(index) for split, index in listing.splits.items()} == {"train": 18, "val": 6, "test": 4}


def test_a_refused_link_names_the_settings_that_allow_it(root: Path, disk: Path) -> None:
    classes(root, names=("jet",))
    os.symlink(disk / "glider", root / "glider")
    with pytest.raises(UserError) as told:
        scan(root, follow=False)
    place = disk / "glider"
    assert f"{root / 'glider'} leads outside of {root} (to {place})" in str(told.value)
    assert f"set datasets.mine.follow_links=true and datasets.mine.link_roots={place} (" in str(told.value)
    assert f"--follow-links {place})" in str(told.value)


def test_a_link_out_of_the_named_roots_is_refused(root: Path, disk: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    classes(root, names=("jet",))
    os.symlink(disk / "glider" / "00.png", root / "jet" / "more.png")
    for roots, shown in (((), "empty"), ((tmp_path / "other",), tmp_path / "other")):
        with pytest.raises(UserError) as told:
            scan(root, *roots)
        assert f"datasets.mine.link_roots ({shown}); add {disk / 'glider'} there" in str(told.value)


def test_a_link_that_leaves_a_named_root_by_another_link_is_refused(root: Path, disk: Path, tmp_path: Path) -> None:
    secret = picture(tmp_path / "secret" / "x.png")
    os.symlink(secret, disk / "glider" / "way_out.png")
    os.symlink(disk, root / "linked")
    with pytest.raises(UserError, match=r"way_out\.png leads to .*secret/x\.png, which is in no folder of"):
        scan(root, disk)


def test_a_named_root_that_is_a_prefix_of_a_name_does_not_allow_it(root: Path, tmp_path: Path) -> None:
    classes(root)
    (tmp_path / "disk").mkdir()
    os.symlink(picture(tmp_path / "disk2" / "x.png"), root / "glider" / "x.png")
    with pytest.raises(UserError, match=r"disk2/x\.png, which is in no folder of datasets\.mine\.link_roots"):
        scan(root, tmp_path / "disk")


def test_a_named_root_may_be_a_link_itself_and_must_be_there(root: Path, disk: Path, tmp_path: Path) -> None:
    os.symlink(disk, tmp_path / "alias")
    for name in ("glider", "big_jet"):
        os.symlink(disk / name, root / name)
    assert len(scan(root, tmp_path / "alias").samples) == 20
    with pytest.raises(UserError, match=r"datasets\.mine\.link_roots: no folder .*none; name folders that exist"):
        scan(root, tmp_path / "none")


def test_loops_of_links_end_and_are_named(root: Path, disk: Path) -> None:
    classes(root)
    os.symlink(root, root / "glider" / "up")
    os.symlink("self", root / "self")
    os.symlink(disk, root / "z")
    os.symlink(root, disk / "back")
    os.symlink(disk.parent, disk / "above")
    listing = scan(root, disk.parent)
    left = listing.account.left_out
    assert left["links to nothing"] == ("self",)
    assert set(left[ELSEWHERE]) == {"glider/up", "z/back", "z/above/disk", "z/above/root"}
    assert len(listing.account.read) == 40


def test_a_folder_below_the_root_is_read_at_its_own_place_alone(root: Path) -> None:
    classes(root, names=("jet", "glider"))
    os.symlink(root / "jet", root / "a_jet")
    listing = scan(root)
    assert listing.info.classes == ("glider", "jet")
    assert listing.account.left_out == {ELSEWHERE: ("a_jet",)}


def test_a_folder_that_two_links_show_is_read_once(root: Path, disk: Path) -> None:
    classes(root, names=("jet",))
    for name in ("glider", "sailplane"):
        os.symlink(disk / "glider", root / name)
    listing = scan(root, disk)
    assert listing.info.classes == ("glider", "jet")
    assert listing.account.left_out == {ELSEWHERE: ("sailplane",)}


def test_a_hidden_store_below_the_root_is_read_through_links(root: Path) -> None:
    classes(root / ".store")
    for name in ("glider", "big_jet"):
        os.symlink(f".store/{name}", root / name)
    listing = scan(root)
    assert len(listing.samples) == 20
    assert listing.account.left_out == {"paths left out as hidden": (".store",)}
    with pytest.raises(UserError, match="holds 0 folder"):
        scan(root, follow=False)


def snapshot(root: Path, store: Path) -> None:
    """A snapshot as hubs keep it: every file is a link to one that is called by its hash."""
    for name in ("glider", "jet"):
        (root / name).mkdir(parents=True)
        for n in range(10):
            blob = picture(root.parent / f"{name}{n}.png").rename(store / f"{name}{n:032x}")
            os.symlink(os.path.relpath(blob, root / name), root / name / f"{n}.png")


def test_a_snapshot_of_links_to_blobs_is_read(tmp_path: Path) -> None:
    store = tmp_path / "blobs"
    store.mkdir()
    snapshot(tmp_path / "snapshots" / "0f3a", store)
    assert len(scan(tmp_path / "snapshots" / "0f3a", store).samples) == 20
    with pytest.raises(UserError, match=r"link_roots=.*/blobs "):
        scan(tmp_path / "snapshots" / "0f3a", follow=False)


def test_fgvc_pictures_on_another_disk_are_read_with_the_setting(tmp_path: Path) -> None:
    synthesise(tmp_path, planesnet=0, hrplanes=0, fgvc=60, fgvc_classes=4, seed=0)
    images = tmp_path / "fgvc-aircraft-2013b" / "data" / "images"
    images.rename(tmp_path / "disk")
    os.symlink(tmp_path / "disk", images)
    listing = scan(images.parents[1], tmp_path / "disk", kind="fgvc")
    assert len(listing.samples) == 60
    assert {sample.path.parent for sample in listing.samples} == {images}
    with pytest.raises(UserError, match=r"images leads outside of .* set datasets\.mine\.follow_links=true"):
        scan(images.parents[1], kind="fgvc", follow=False)


@pytest.mark.parametrize(("kind", "name"), [("planesnet", "planesnet"), ("hrplanes", "hrplanes")])
def test_the_other_formats_are_read_alike_through_a_link(kind: str, name: str, tmp_path: Path) -> None:
    synthesise(tmp_path / "disk", planesnet=60, hrplanes=6, fgvc=0, fgvc_classes=2, seed=0, scene_side=640)
    (tmp_path / "root").mkdir()
    os.symlink(tmp_path / "disk" / name, tmp_path / "root" / "linked")
    plain = scan(tmp_path / "disk" / name, kind=kind)
    linked = scan(tmp_path / "root", tmp_path / "disk", kind=kind)
    assert len(linked.samples) == len(plain.samples) > 0
    assert len(linked.account.read) == len(plain.account.read)
    boxes = [[s.boxes for s in listing.samples if s.boxes] for listing in (linked, plain)]
    assert boxes[0] == boxes[1]
    assert (linked.synthetic, linked.account.left_out) == (True, {})


def test_labels_behind_a_link_are_named_as_read(tmp_path: Path) -> None:
    synthesise(tmp_path, planesnet=0, hrplanes=6, fgvc=0, fgvc_classes=2, seed=0, scene_side=640)
    root = tmp_path / "hrplanes"
    (root / "annotations").mkdir()
    for path in (root / "img").glob("*.txt"):
        path.rename(root / "annotations" / path.name)
    os.symlink("annotations", root / "labels")
    listing = scan(root, kind="hrplanes", follow=False)
    assert {path.name for path in listing.account.read if path.parent == root / "annotations"} == {
        path.name for path in (root / "annotations").iterdir()
    }
    assert listing.account.left_out == {"links to folders, not followed": ("labels",)}


def test_a_link_that_leads_to_another_picture_is_decoded_again(root: Path, disk: Path, tmp_path: Path) -> None:
    classes(root, names=("jet",))
    os.symlink(disk / "glider", root / "glider")
    old, new = disk / "glider" / "00.png", tmp_path / "disk" / "other" / "00.png"
    new.parent.mkdir()
    new.write_bytes(bytes(old.stat().st_size))
    link = root / "jet" / "link.png"
    os.utime(new, ns=(old.stat().st_atime_ns, old.stat().st_mtime_ns))
    found = []
    for target in (old, new):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        read = reader(
            "mine", Dataset(reader="image_folder", root=str(root), follow_links=True, link_roots=str(disk)), None
        )
        found.append(fingerprint(read, read.scan()))
    assert found[0] != found[1]


def test_linked_pictures_are_decoded_and_looked_through(root: Path, disk: Path, tmp_path: Path) -> None:
    for name in ("glider", "big_jet"):
        os.symlink(disk / name, root / name)
    settings = Dataset(reader="image_folder", root=str(root), follow_links=True, link_roots=str(disk), image_size=16)
    arrays = decode(reader("mine", settings, None), tmp_path / "cache")
    plain = decode(
        reader("mine", Dataset(reader="image_folder", root=str(disk), image_size=16), None), tmp_path / "cache"
    )
    assert (arrays.images_NHWC == plain.images_NHWC).all()
    assert not any(examine(reader("mine", settings, None)).faults.values())


def test_roots_without_leave_to_follow_are_a_mistake() -> None:
    with pytest.raises(UserError, match=r"set datasets\.fgvc\.follow_links=true as well, or leave it out"):
        make_config({"datasets.fgvc.link_roots": "/disk"})


def test_a_named_root_that_is_an_address_is_a_mistake() -> None:
    with pytest.raises(UserError, match=r"link_roots.*'s3://bucket' is an address"):
        make_config({"datasets.fgvc.follow_links": True, "datasets.fgvc.link_roots": "/disk, s3://bucket"})


def test_named_roots_are_made_absolute_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = "datasets.mine.link_roots=a, /b"
    assert path_made_absolute(given) == f"datasets.mine.link_roots={tmp_path}/a, /b"
