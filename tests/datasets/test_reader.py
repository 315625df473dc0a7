"""The way from a setting to a reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.catalog import CATALOG
from raytune_planes.config import Dataset
from raytune_planes.datasets import reader
from raytune_planes.datasets.base import Reader
from raytune_planes.errors import UserError


@pytest.mark.parametrize("name", list(CATALOG))
def test_every_entry_of_the_catalog_has_a_reader_that_touches_no_file(name: str) -> None:
    found = reader(name, Dataset(image_size=32, tile=99), Path("/nowhere"), seed=7)
    assert isinstance(found, Reader)
    assert found.root == Path("/nowhere") / CATALOG[name].folder
    assert (found.image_size, found.tile, found.seed, found.name_in_study) == (32, 99, 7, name)
    with pytest.raises(UserError, match=f"dataset '{name}': no folder /nowhere"):
        found.scan()


def test_a_reader_decodes_at_the_decoded_size() -> None:
    assert reader("fgvc", Dataset(image_size=32), Path()).image_size == 32
    assert reader("fgvc", Dataset(image_size=32, decoded_size=50), Path()).image_size == 50


def test_the_middle_of_a_tile_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"datasets\.hrplanes\.eval_crop = 0\.8: scenes of 'hrplanes' are evaluated whole"
    ):
        reader("hrplanes", Dataset(eval_crop=0.8), Path())


def test_a_root_and_a_reader_of_ones_own_are_taken() -> None:
    found = reader("chips_of_mine", Dataset(reader="planesnet", root="/mine"), None)
    assert found.root == Path("/mine")
    assert found.name_in_study == "chips_of_mine"


def test_an_unknown_reader_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        UserError, match=r"datasets\.mine\.reader = 'fvgc'.*did you mean 'fgvc'.*planesnet, hrplanes, fgvc"
    ):
        reader("mine", Dataset(reader="fvgc"), Path())


def test_neither_root_nor_data_is_refused() -> None:
    with pytest.raises(UserError, match=r"dataset 'fgvc' has no folder: set datasets\.fgvc\.root, or give --data"):
        reader("fgvc", Dataset(), None)
