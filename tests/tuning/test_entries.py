"""A host that does not see the decoded datasets decodes them for itself, or says what it lacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raytune_planes.datasets.pending import BrokenPictures
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.errors import UserError
from raytune_planes.preparation.data import open_data
from raytune_planes.records import End
from raytune_planes.tuning.entries import Entry, counts, open_entries
from raytune_planes.tuning.failures import end_by
from tests.toy import toy_config

ONLY_CHIPS = {"datasets__hrplanes__enabled": False, "datasets__fgvc__enabled": False}


def test_a_host_decodes_what_it_does_not_see_and_refuses_other_pictures(tmp_path: Path) -> None:
    synthesise(tmp_path / "data", planesnet=40, hrplanes=4, fgvc=24, fgvc_classes=2, seed=0)
    config = toy_config(**ONLY_CHIPS)
    there = open_data(config, tmp_path / "data", tmp_path / "driver")["planesnet"]
    entry = Entry(
        "planesnet", toy_config().datasets["planesnet"].decoded_as, str(tmp_path / "host" / "x"), counts(there), 5 << 30
    )

    here = open_entries((entry,), config, tmp_path / "data")["planesnet"]

    assert (tmp_path / "host").is_dir()
    assert here.limit_bytes == 5 << 30
    assert there.limit_bytes == 20 << 30
    np.testing.assert_array_equal(here.images_NHWC, there.images_NHWC)
    for split, index in there.splits.items():
        np.testing.assert_array_equal(here.splits[split], index)
    with pytest.raises(UserError, match=r"'planesnet' on .+ has .+ pictures, where the study began it has \(1, 2, 3\)"):
        open_entries((entry._replace(pictures=(1, 2, 3)),), config, tmp_path / "data")


def test_a_host_without_the_pictures_says_so(tmp_path: Path) -> None:
    entry = Entry("planesnet", toy_config().datasets["planesnet"].decoded_as, str(tmp_path / "host" / "x"), (1, 2, 3))
    with pytest.raises(UserError, match=r"sees no decoded 'planesnet' at .+ and cannot decode it: .+nowhere"):
        open_entries((entry,), toy_config(**ONLY_CHIPS), tmp_path / "nowhere")


def test_a_trial_that_decodes_for_itself_and_finds_broken_pictures_has_not_failed(tmp_path: Path) -> None:
    synthesise(tmp_path / "data", planesnet=40, hrplanes=4, fgvc=24, fgvc_classes=2, seed=0)
    path = sorted((tmp_path / "data" / "fgvc-aircraft-2013b").rglob("*.jpg"))[5]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    config = toy_config(datasets__hrplanes__enabled=False, datasets__planesnet__enabled=False)
    entry = Entry("fgvc", toy_config().datasets["fgvc"].decoded_as, str(tmp_path / "host" / "x"), (1, 2, 3))
    with pytest.raises(BrokenPictures, match=f"and cannot decode it: .*{path.name}") as told:
        open_entries((entry,), config, tmp_path / "data")
    assert end_by(told.value)["end"] == End.INTERRUPTED.value
