"""TIFF files of more bands than colours: the bands that a setting names are shown, and without it none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from raytune_planes.config import Dataset
from raytune_planes.datasets import images, reader
from raytune_planes.datasets.cache import decode
from raytune_planes.datasets.fingerprint import fingerprint
from raytune_planes.datasets.hygiene import examine
from raytune_planes.datasets.objects import Several, split_objects
from raytune_planes.datasets.ranges import with_range
from raytune_planes.errors import UserError

SIDE = 24
UNNAMED = {"photometric": "rgb", "extrasamples": ("unspecified",)}
"""Red, green, blue and one more, of which the file does not say what it is."""


def tiff(path: Path, kind: type = np.uint8, count: int = 6, names: tuple[str, ...] = (), **how: object) -> np.ndarray:
    """A band is brighter than the one before, from left to right; its numbers [H, W, bands]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    most = 250 if kind is np.uint8 else 2000
    ramp = np.linspace(0, 1, SIDE)[None, :, None] * np.linspace(0.2, 1, count)
    numbers = np.broadcast_to(ramp * most, (SIDE, SIDE, count)).astype(kind)
    items = "".join(f'<Item name="DESCRIPTION" sample="{n}" role="description">{x}</Item>' for n, x in enumerate(names))
    tags = [(42112, 2, 0, f"<GDALMetadata>{items}</GDALMetadata>", True)] if names else []
    how = {"photometric": "minisblack", "planarconfig": "contig", **how}
    given = np.moveaxis(numbers, -1, 0) if how["planarconfig"] == "separate" else numbers
    tifffile.imwrite(path, given, extratags=tags, metadata=None, **how)
    return numbers


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"planarconfig": "separate"},
        {"compression": "zlib", "predictor": True},
        {"count": 4, **UNNAMED},
        {"count": 3},
        {"tile": (16, 16)},
    ],
)
def test_the_named_bands_are_red_green_and_blue(tmp_path: Path, how: dict) -> None:
    numbers = tiff(tmp_path / "a.tif", **how)
    picture = images.decode(tmp_path / "a.tif", shown=("3", "1", "2"))
    assert np.asarray(picture.image).tolist() == numbers[..., [2, 0, 1]].tolist()
    assert (picture.width, picture.height) == (SIDE, SIDE) == images.size_of(tmp_path / "a.tif")


def test_bands_are_named_as_the_file_names_them_in_any_case(tmp_path: Path) -> None:
    numbers = tiff(tmp_path / "a.tif", names=("Blue", "Green", "Red", "NIR", "3", ""))
    shown = images.decode(tmp_path / "a.tif", shown=("nir", "green", "blue"))
    assert np.asarray(shown.image).tolist() == numbers[..., [3, 1, 0]].tolist()
    grey = images.decode(tmp_path / "a.tif", shown=("3",))  # the name counts before the number
    assert np.asarray(grey.image).tolist() == numbers[..., [4, 4, 4]].tolist()
    with pytest.raises(UserError, match=r"a\.tif has 6 bands \(Blue, Green, Red, NIR, 3, \?\): set datasets"):
        images.decode(tmp_path / "a.tif")


@pytest.mark.parametrize("how", [{}, {"count": 4, **UNNAMED}, {"count": 4, "kind": np.uint16, **UNNAMED}])
def test_without_the_setting_nothing_is_guessed(tmp_path: Path, how: dict) -> None:
    tiff(tmp_path / "a.tif", **how)
    with pytest.raises(UserError, match=r"a\.tif has \d bands: set datasets\.<name>\.bands to those that are red"):
        images.decode(tmp_path / "a.tif", values=(0, 2000))


@pytest.mark.parametrize("band", ["7", "0", "nir", "-1"])
def test_a_band_that_is_not_there_is_told(tmp_path: Path, band: str) -> None:
    tiff(tmp_path / "a.tif")
    with pytest.raises(UserError, match=rf"a\.tif has no band '{band}', which datasets\.<name>\.bands names; it has 6"):
        images.decode(tmp_path / "a.tif", shown=("1", "2", band))


def test_transparency_is_no_band_and_other_pictures_stay_as_they_are(tmp_path: Path) -> None:
    for name in ("a.tif", "a.png"):
        Image.new("RGBA", (SIDE, SIDE), (9, 8, 7, 255)).save(tmp_path / name)
    assert np.asarray(images.decode(tmp_path / "a.tif").image)[0, 0].tolist() == [9, 8, 7]
    assert np.asarray(images.decode(tmp_path / "a.png", shown=("3", "2", "1")).image)[0, 0].tolist() == [9, 8, 7]
    Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0)).save(tmp_path / "c.tif")
    assert np.asarray(images.decode(tmp_path / "c.tif").image)[0, 0].tolist() == [255, 0, 0]


def test_a_dataset_of_deep_bands_is_shown_by_one_range_of_those_that_are_seen(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for n in range(10):
            tiff(tmp_path / name / f"{n}.tif", np.uint16)
    config = Dataset(reader="image_folder", root=str(tmp_path), bands="6, 2, 1", image_size=24)
    read = reader("mine", config, None)
    listing = with_range(read, read.scan())
    assert listing.info.values is not None
    assert listing.info.values[1] == pytest.approx(2000, abs=20)
    pixels = read.load(listing.samples[0])[0]
    assert pixels[0, -1].tolist() == [255, pytest.approx(255 * 0.36, abs=2), pytest.approx(255 * 0.2, abs=2)]
    other = reader("mine", config.model_copy(update={"bands": "1,2,6"}), None)
    assert fingerprint(read, listing) != fingerprint(other, with_range(other, other.scan()))
    found = examine(read)
    assert found.faults["unreadable pictures"] == 0
    assert found.as_json()["modes"] == {"many bands": 20}


def test_what_was_not_measured_sets_no_range_of_bands(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for n in range(10):
            numbers = np.full((16, 16, 5), 1000 + n, np.uint16)
            numbers[:, :4] = 65535
            (tmp_path / name).mkdir(exist_ok=True)
            none = [(42113, 2, 0, "65535", True)]
            tifffile.imwrite(tmp_path / name / f"{n}.tif", numbers, photometric="minisblack", extratags=none)
    read = reader("mine", Dataset(reader="image_folder", root=str(tmp_path), bands="3,2,1"), None)
    assert with_range(read, read.scan()).info.values == (1000, 1009)


def test_data_and_training_say_what_to_set(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for n in range(10):
            tiff(tmp_path / name / f"{n}.tif")
    read = reader("mine", Dataset(reader="image_folder", root=str(tmp_path)), None)
    found = examine(read)
    assert found.faults["unreadable pictures"] == 20
    assert "has 6 bands: set datasets.<name>.bands" in found.pictures.unreadable["a/0.tif"]
    with pytest.raises(UserError, match=r"20 pictures cannot be decoded(.|\n)*has 6 bands: set datasets"):
        decode(read, tmp_path / "cache")


def test_objects_are_cut_out_of_the_bands_that_are_seen(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for n in range(10):
            numbers = tiff(tmp_path / "data" / name / f"{n}.tif")
    read = reader("mine", Dataset(reader="image_folder", root=str(tmp_path / "data"), bands="3,2,1"), None)
    several = [Several(0, ((5.0, 5.0, 9.0, 9.0), (15.0, 5.0, 19.0, 9.0)))]
    assert split_objects(read, read.scan(), several, tmp_path / "out") == 2
    (cut,) = (tmp_path / "out").rglob("*-1.png")
    with Image.open(cut) as picture:
        assert np.asarray(picture)[0, -1].tolist() == numbers[5, 18, [2, 1, 0]].tolist()


@pytest.mark.parametrize("bands", ["1,2", "1,2,3,4", ",", "1,,2", " "])
def test_other_than_one_or_three_bands_are_a_mistake(bands: str) -> None:
    with pytest.raises(ValueError, match="bands"):
        Dataset(bands=bands)
