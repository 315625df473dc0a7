"""The plan: what it lists is left out, copies share a split and a group, and a plan of other data is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from raytune_planes.datasets.base import SPLITS, Info, Listing, Sample
from raytune_planes.datasets.cache import decode
from raytune_planes.datasets.cleaning import Plan, cleaned, picture_name, read_plan, write_plan
from raytune_planes.errors import UserError
from raytune_planes.preparation.data import open_data
from raytune_planes.settings import make_config
from tests.datasets.test_image_folder import classes, reader

ROOT = Path("/mine")
INFO = Info("mine", ("a", "b"), ("a", "b"))


def listing() -> Listing:
    samples = tuple(Sample(ROOT / f"{n}.png", n % 2, f"scene {n // 2}") for n in range(12))
    return Listing(INFO, samples, {"train": tuple(range(8)), "val": (8, 9), "test": (10, 11)})


def kept(found: Listing) -> dict[str, list[str]]:
    return {s: [found.samples[i].path.stem for i in found.splits[s]] for s in SPLITS}


def test_what_is_dropped_is_gone_and_the_rest_keeps_its_split() -> None:
    found = cleaned(listing(), ROOT, Plan({"1.png": "unreadable", "8.png": "both labels"}))
    assert kept(found) == {"train": ["0", "2", "3", "4", "5", "6", "7"], "val": ["9"], "test": ["10", "11"]}
    assert found.warnings == ("2 pictures left out by the plan",)


def test_of_copies_in_several_splits_those_in_the_latest_stay() -> None:
    found = cleaned(listing(), ROOT, Plan(copies=(("0.png", "8.png"), ("9.png", "2.png", "10.png"))))
    assert kept(found) == {"train": ["1", "3", "4", "5", "6", "7"], "val": ["8"], "test": ["10", "11"]}


def test_copies_in_one_split_become_one_group_through_any_chain() -> None:
    found = cleaned(listing(), ROOT, Plan(copies=(("0.png", "2.png"), ("4.png", "3.png"))))
    groups = {sample.path.stem: sample.group for sample in found.samples}
    assert len({groups[name] for name in "012345"}) == 1
    assert groups["6"] == groups["7"] == "scene 3"
    assert kept(found) == kept(listing())


def test_a_copy_that_is_dropped_joins_nothing() -> None:
    found = cleaned(listing(), ROOT, Plan({"10.png": "unreadable"}, (("0.png", "10.png"),)))
    assert kept(found)["train"] == list("01234567")


def test_a_tile_goes_with_its_picture_and_a_row_by_its_number() -> None:
    tile = Sample(ROOT / "img" / "a (2).jpg", 0, "a", window=(0, 0, 8, 8))
    assert picture_name(tile, ROOT) == "img/a (2).jpg"
    assert picture_name(Sample(ROOT / "planesnet.json", 0, "s", row=7), ROOT) == "planesnet.json#7"


def test_a_plan_comes_back_as_it_was_written(tmp_path: Path) -> None:
    plans = {"mine": Plan({"a.png": "unreadable"}, (("b.png", "c.png"),)), "fgvc": Plan()}
    write_plan(tmp_path / "plan.json", plans)
    assert {name: read_plan(tmp_path / "plan.json", name) for name in plans} == plans


def test_a_trial_leaves_out_what_its_plan_lists_also_what_cannot_be_decoded(tmp_path: Path) -> None:
    root = classes(tmp_path / "data")
    (root / "glider" / "03.png").write_bytes(b"no picture")
    setting = {"datasets.mine.reader": "image_folder", "datasets.mine.root": str(root), "datasets.mine.image_size": 16}
    setting |= {f"datasets.{name}.enabled": False for name in ("planesnet", "hrplanes", "fgvc")}
    with pytest.raises(UserError, match=r"03.png cannot be decoded"):
        open_data(make_config(setting), None, tmp_path / "cache")
    write_plan(tmp_path / "plan.json", {"mine": Plan({"glider/03.png": "unreadable", "glider/04.png": "double"})})
    setting["datasets.mine.clean"] = str(tmp_path / "plan.json")
    arrays = open_data(make_config(setting), None, tmp_path / "cache")["mine"]
    assert len(arrays.labels_N) == sum(arrays.counts().values()) == 18
    assert np.bincount(arrays.labels_N).tolist() == [10, 8]


def test_groups_are_kept_with_the_decoded_pictures(tmp_path: Path) -> None:
    root = classes(tmp_path / "data")
    plan = Plan(copies=(("big_jet/00.png", "big_jet/01.png", "glider/05.png"),))
    arrays = decode(reader(root), tmp_path / "cache", plan=plan)
    listing = cleaned(reader(root).scan(), root, plan)
    names = [picture_name(sample, root) for sample in listing.samples]
    together = [arrays.groups_N[names.index(n)] for n in plan.copies[0] if n in names]
    assert len(set(together)) == 1
    assert len(set(arrays.groups_N.tolist())) == len(names) - len(together) + 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file or directory; write a plan with 'raytune-planes data DIR --clean FILE'"),
        ("{", "is not a plan that 'raytune-planes data DIR --clean FILE' writes"),
        ("[]", "is not a plan"),
        (json.dumps({"format": 1, "datasets": {"mine": {"drop": {}}}}), "is not a plan that .*'copies'"),
        (json.dumps({"format": 9, "datasets": {}}), "has format 9, this version reads 1"),
        (json.dumps({"format": 1, "datasets": {"fgvc": {"drop": {}, "copies": []}}}), "does not mention 'mine'.*fgvc"),
    ],
)
def test_what_is_no_plan_for_the_dataset_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_plan(tmp_path / "plan.json", "mine")


def test_a_plan_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the plan cannot be written to .*; name another file"):
        write_plan(tmp_path / "none" / "plan.json", {})


def test_a_plan_of_other_pictures_is_refused_and_of_partly_others_told() -> None:
    with pytest.raises(UserError, match="names none of the pictures in /mine"):
        cleaned(listing(), ROOT, Plan({"x.png": "?"}))
    found = cleaned(listing(), ROOT, Plan({"x.png": "?", "1.png": "?"}))
    assert found.warnings == ("1 picture left out by the plan", "1 picture of the plan not there: x.png")


def test_a_plan_that_empties_a_split_is_refused() -> None:
    with pytest.raises(UserError, match="leaves val without a picture; shorten it"):
        cleaned(listing(), ROOT, Plan({"8.png": "", "9.png": ""}))
