"""PlanesNet: the folder and the json, splits by scene, contradictory chips, and what is refused."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from raytune_planes.datasets.base import SPLITS, Listing
from raytune_planes.datasets.files import MARKER
from raytune_planes.datasets.planesnet import Chip, PlanesNet, write
from raytune_planes.errors import UserError


def reader(root: Path, seed: int = 0) -> PlanesNet:
    return PlanesNet(root, name="planesnet", image_size=20, tile=320, seed=seed)


def chips(scenes: int = 6, each: int = 8) -> list[Chip]:
    random = np.random.default_rng(3)
    return [
        Chip(
            random.integers(0, 256, (20, 20, 3), dtype=np.uint8),
            int(n % 4 == 0),
            f"20170121_17513{scene}_0e14",
            -118.464241214 + n * 1e-5,
            33.9627984613,
        )
        for scene in range(scenes)
        for n in range(each)
    ]


def facts(root: Path, listing: Listing) -> set[tuple[bytes, int, str]]:
    read = reader(root)
    return {(read.load(sample)[0].tobytes(), sample.label, sample.group) for sample in listing.samples}


@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_written_is_read_back(tmp_path: Path, as_json: bool) -> None:
    written = chips()
    write(tmp_path, written, as_json=as_json)
    listing = reader(tmp_path).scan()
    assert facts(tmp_path, listing) == {(chip.image_HWC.tobytes(), chip.label, chip.scene) for chip in written}
    assert len(listing.samples) == len(written)
    assert not listing.warnings
    assert not listing.synthetic
    assert listing.info.classes == ("no plane", "plane")
    assert len(listing.info.prompts) == 2
    assert not listing.info.has_masks


def test_the_json_holds_planes_of_colour_row_by_row(tmp_path: Path) -> None:
    write(tmp_path, chips(), as_json=True)
    first = json.loads((tmp_path / "planesnet.json").read_text())["data"][0]
    image_HWC = chips()[0].image_HWC
    assert first[:20] == image_HWC[0, :, 0].tolist()
    assert first[800:820] == image_HWC[0, :, 2].tolist()


def test_the_folder_comes_before_the_json_and_may_be_doubled_or_not(tmp_path: Path) -> None:
    write(tmp_path, chips(), as_json=True)
    write(tmp_path, chips(scenes=4))
    assert len(reader(tmp_path).scan().samples) == 32
    assert len(reader(tmp_path / "planesnet").scan().samples) == 32


def test_both_classes_are_in_every_split_and_no_scene_in_two(tmp_path: Path) -> None:
    write(tmp_path, chips(scenes=5))
    listing = reader(tmp_path).scan()
    groups = [{listing.samples[i].group for i in listing.splits[split]} for split in SPLITS]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 5
    for split in SPLITS:
        assert {listing.samples[i].label for i in listing.splits[split]} == {0, 1}
    assert listing == reader(tmp_path).scan()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_chip_with_both_labels_is_counted(tmp_path: Path, as_json: bool) -> None:
    written = chips()
    first = written[0]
    twin = Chip(first.image_HWC, 1 - first.label, first.scene, first.longitude + 1e-3, first.latitude)
    write(tmp_path, [*written, twin], as_json=as_json)
    listing = reader(tmp_path).scan()
    assert len(listing.samples) == len(written) + 1
    assert listing.warnings == ("1 chip with both labels, kept though not all of it can be right",)


def test_other_names_and_second_copies_are_counted_and_left_out(tmp_path: Path) -> None:
    write(tmp_path, chips())
    folder = tmp_path / "planesnet"
    some = sorted(folder.iterdir())[0]
    (tmp_path / "copy").mkdir()
    shutil.copy(some, tmp_path / "copy" / some.name)
    shutil.copy(some, folder / "preview.png")
    shutil.copy(some, folder / "7__scene__1_2.png")
    listing = reader(tmp_path).scan()
    assert len(listing.samples) == 48
    again = "copy/" + some.name if listing.samples[0].path == some else "planesnet/" + some.name
    assert listing.warnings == (
        "2 pictures not named label__scene__location, left out: planesnet/7__scene__1_2.png, planesnet/preview.png",
        f"1 chip present again in another folder, taken once: {again}",
    )
    assert listing.account.unused_pictures == 3


def test_the_marker_makes_the_listing_synthetic(tmp_path: Path) -> None:
    write(tmp_path, chips())
    (tmp_path / MARKER).touch()
    assert reader(tmp_path).scan().synthetic


def test_a_missing_root_says_what_is_expected_and_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        reader(tmp_path / "none").scan()
    text = str(caught.value)
    for part in (
        str(tmp_path / "none"),
        "0__{scene}__",
        "kaggle.com",
        "without --data, the commands tune and train run on synthetic data",
        "datasets.planesnet.enabled=false",
    ):
        assert part in text


def test_an_empty_root_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds neither chips \(\*\.png\) nor planesnet\.json"):
        reader(tmp_path).scan()


def test_one_label_alone_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [chip for chip in chips() if chip.label])
    with pytest.raises(UserError, match="all 12 chips have one label"):
        reader(tmp_path).scan()


def test_two_scenes_cannot_be_split(tmp_path: Path) -> None:
    write(tmp_path, chips(scenes=2))
    with pytest.raises(UserError, match=r"2 scenes cannot be split into train, val and test; 3 or more"):
        reader(tmp_path).scan()


def shorten(table: dict[str, list[object]]) -> None:
    table["labels"].pop()


def relabel(table: dict[str, list[object]]) -> None:
    table["labels"][0] = 2


def brighten(table: dict[str, list[list[int]]]) -> None:
    table["data"][0][0] = 300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shorten, "its lists differ in length: 48 data, 47 labels, 48 scenes"),
        (relabel, "labels are 0 or 1, found 0, 1, 2"),
        (brighten, "is not PlanesNet's json: .*300"),
        (lambda table: table.pop("scene_ids"), "it lacks the list 'scene_ids'"),
        (lambda table: table["data"].pop() and table["data"].append([1, 2]), "is not PlanesNet's json"),
    ],
)
def test_a_malformed_json_is_refused(tmp_path: Path, change: Callable[[dict[str, list]], None], message: str) -> None:
    write(tmp_path, chips(), as_json=True)
    path = tmp_path / "planesnet.json"
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))
    with pytest.raises(UserError, match=message):
        reader(tmp_path).scan()


@pytest.mark.parametrize("text", ["[1, 2]", '{"data": [[', "5"])
def test_what_is_no_such_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "planesnet.json").write_text(text)
    with pytest.raises(UserError, match=r"planesnet\.json is not PlanesNet's json"):
        reader(tmp_path).scan()


@pytest.mark.parametrize("folder", [False, True])
def test_a_link_that_leads_outside_is_refused(tmp_path: Path, folder: bool) -> None:
    write(tmp_path / "outside", chips())
    write(tmp_path / "root", chips(scenes=4))
    target = tmp_path / "outside" / "planesnet"
    link = tmp_path / "root" / "planesnet" / "zz"
    os.symlink(target if folder else next(target.iterdir()), link)
    with pytest.raises(
        UserError,
        match=re.escape(f"{link} leads outside of")
        + r".*set datasets\.<name>\.follow_links=true.*point datasets\.<name>\.root",
    ):
        reader(tmp_path / "root").scan()


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    write(tmp_path / "there", chips())
    os.symlink(tmp_path / "there", tmp_path / "here")
    assert len(reader(tmp_path / "here").scan().samples) == 48


def test_the_real_chips(real: Path) -> None:
    listing = reader(real / "planesnet").scan()
    assert len(listing.samples) == 20_004
    assert sum(sample.label for sample in listing.samples) == 4_715
    assert not listing.synthetic
    assert listing.warnings == ("3 chips with both labels, kept though not all of it can be right",)
    assert len({sample.group for sample in listing.samples}) == 971
    for split, fraction in zip(SPLITS, (0.8, 0.1, 0.1), strict=True):
        planes = sum(listing.samples[i].label for i in listing.splits[split])
        assert abs(planes / 4_715 - fraction) < 0.02
    image_HWC, _ = reader(real / "planesnet").load(listing.samples[-1])
    assert image_HWC.shape == (20, 20, 3)
    assert image_HWC.std() > 10
