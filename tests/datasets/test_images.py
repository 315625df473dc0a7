"""Decoding by content, upright, at a fraction of the size, and errors that name their file."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.config import Dataset
from raytune_planes.datasets import images, opening, reader
from raytune_planes.datasets.cache import decode
from raytune_planes.datasets.hygiene import examine
from raytune_planes.errors import UserError
from tests.fuzz.fence import fence


@pytest.fixture
def quarters() -> Image.Image:
    """80 x 40, red above left, green above right, blue below left, white below right."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:20, :40], pixels[:20, 40:] = (255, 0, 0), (0, 255, 0)
    pixels[20:, :40], pixels[20:, 40:] = (0, 0, 255), (255, 255, 255)
    return Image.fromarray(pixels)


def corner_colors(image_HWC: np.ndarray) -> list[list[int]]:
    return [[round(int(v) / 255) for v in image_HWC[y, x]] for y, x in ((1, 1), (1, -2), (-2, 1), (-2, -2))]


def test_a_png_with_alpha_named_jpg_is_read_by_its_content(tmp_path: Path, quarters: Image.Image) -> None:
    quarters.convert("RGBA").save(tmp_path / "a.jpg", format="PNG")
    image_HWC = images.load(tmp_path / "a.jpg", 16)
    assert image_HWC.shape == (16, 16, 3)
    assert image_HWC.dtype == np.uint8
    assert corner_colors(image_HWC) == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_exif_rotation_is_honoured(tmp_path: Path, quarters: Image.Image, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter clockwise
    quarters.resize((640, 320)).save(tmp_path / "a", format=kind, exif=exif)
    assert images.size_of(tmp_path / "a") == (320, 640)
    assert corner_colors(images.load(tmp_path / "a", 16)) == [[0, 0, 1], [1, 0, 0], [1, 1, 1], [0, 1, 0]]


def test_a_large_jpeg_is_decoded_at_a_fraction_and_windows_still_fit(tmp_path: Path, quarters: Image.Image) -> None:
    quarters.resize((1604, 804), Image.Resampling.NEAREST).save(tmp_path / "a.jpg", quality=95)
    small = images.decode(tmp_path / "a.jpg", coarsest=5)
    assert small.image.size == (401, 201)
    assert (small.width, small.height) == (1604, 804)
    window_HWC = small.crop(16, (812, 412, 1212, 802))
    assert window_HWC.min() > 200, "the quarter below right is white"
    whole = images.decode(tmp_path / "a.jpg")
    difference = small.crop(16, (700, 300, 900, 500)).astype(int) - whole.crop(16, (700, 300, 900, 500))
    assert np.abs(difference).mean() < 12


def test_a_picture_of_the_asked_size_comes_back_untouched(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image_HWC = images.load(tmp_path / "a.png", 24)
    assert np.array_equal(image_HWC, pixels)
    assert image_HWC.flags.writeable


@pytest.mark.parametrize(("height", "size"), [(60, 16), (60, 64), (900, 32)])
def test_the_rows_of_a_banner_leave_no_trace(tmp_path: Path, height: int, size: int) -> None:
    pixels = np.zeros((height, 200, 3), np.uint8)
    pixels[-20:] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert images.load(tmp_path / "a.png", size, trim_bottom=20).max() == 0


def test_a_picture_no_higher_than_its_banner_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "flat.png")
    with pytest.raises(UserError, match=r"flat\.png has 20 rows, and its last 20 are cut off"):
        images.load(tmp_path / "flat.png", 16, trim_bottom=20)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    suffix = "tif" if mode == "CMYK" else "png"
    Image.new("RGB", (32, 32), "white").convert(mode).save(tmp_path / f"a.{suffix}")
    assert images.load(tmp_path / f"a.{suffix}", 16).min() >= 156


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_truncated_picture_is_an_error_that_names_its_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "half (2).jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)).save(path, format=kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=re.escape(str(path)) + " cannot be decoded: .*unpack its archive again"):
        images.load(path, 16)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_picture_is_an_error_that_names_its_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    for read in (images.size_of, images.decode):
        with pytest.raises(UserError, match=r"a\.jpg cannot be decoded"):
            read(tmp_path / "a.jpg")


def many_bands(path: Path, bands: int, side: int = 16) -> Path:
    """A sound TIFF of 8-bit bands, as satellites' products come, which Pillow does not open."""
    place = 8 + 2 + 12 * 9 + 4
    tags = [(256, 3, 1, side), (257, 3, 1, side), (258, 3, bands, place), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 1, place + 2 * bands), (277, 3, 1, bands), (278, 3, 1, side), (279, 4, 1, side * side * bands)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHLL", *tag) for tag in tags) + bytes(4)
    path.write_bytes(
        b"II*\0" + struct.pack("<L", 8) + directory + struct.pack("<H", 8) * bands + bytes(side**2 * bands)
    )
    return path


@pytest.mark.parametrize("bands", [5, 8])
def test_a_tiff_of_many_bands_is_refused_with_what_to_set_and_nothing_else_is_printed(
    tmp_path: Path, bands: int
) -> None:
    path = many_bands(tmp_path / "a.tif", bands)
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, pathlib; from raytune_planes.datasets import images\n"
            "try: images.decode(pathlib.Path(sys.argv[1]))\nexcept Exception as error: print(error)",
            str(path),
        ],
        capture_output=True,
        text=True,
        check=True,
    )  # in a process without pytest's handlers of logs
    assert said.stderr == ""
    assert said.stdout == (
        f"{path} has {bands} bands: set datasets.<name>.bands to those that are red, green and blue, by number or "
        f"name, such as '3,2,1', or to one that is shown in grey\n"
    )


def test_a_listed_picture_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no picture .*gone\.jpg"):
        images.load(tmp_path / "gone.jpg", 16)


def test_a_picture_of_more_pixels_than_the_dataset_allows_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (9000, 8000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 20_000
    for read in (images.size_of, images.decode):
        with pytest.raises(
            UserError,
            match=r"bomb\.png has 9,000 x 8,000 pixels, more than the 64,000,000.*datasets\.<name>\.max_pixels",
        ):
            read(tmp_path / "bomb.png")
    assert images.size_of(tmp_path / "bomb.png", 72_000_000) == (9000, 8000)


def test_a_setting_says_how_many_pixels_a_picture_may_have(tmp_path: Path) -> None:
    for kind in ("a", "b"):
        (tmp_path / kind).mkdir()
        for n in range(10):
            Image.new("RGB", (40, 30 + n)).save(tmp_path / kind / f"{n}.png")
    strict = reader("mine", Dataset(reader="image_folder", root=str(tmp_path), max_pixels=40 * 38), None)
    with pytest.raises(
        UserError, match=r"2 pictures cannot be decoded(.|\n)*9\.png has 40 x 39 pixels, more than the 1,520"
    ):
        decode(strict, tmp_path / "cache")
    exact = reader("mine", Dataset(reader="image_folder", root=str(tmp_path), max_pixels=40 * 39), None)
    assert len(decode(exact, tmp_path / "cache").labels_N) == 20


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "AVIF", "JPEG2000"])
def test_each_format_is_read_under_any_suffix(tmp_path: Path, quarters: Image.Image, form: str) -> None:
    quarters.save(tmp_path / "a.xyz", form)
    assert opening.is_picture(tmp_path / "a.xyz")
    assert corner_colors(images.load(tmp_path / "a.xyz", 16)) == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]


@pytest.mark.parametrize("form", ["EPS", "PCX", "TGA", "ICO", "PDF"])
def test_another_format_is_refused_whatever_its_suffix_and_starts_no_program(
    tmp_path: Path, quarters: Image.Image, form: str
) -> None:
    quarters.save(tmp_path / "a.jpg", form)
    assert not opening.is_picture(tmp_path / "a.jpg")
    with fence(tmp_path) as outside:
        for read in (images.size_of, images.decode):
            with pytest.raises(
                UserError, match=r"a\.jpg cannot be decoded: its content is none of JPEG, PNG, BMP, TIFF"
            ):
                read(tmp_path / "a.jpg")
    assert outside == []


def test_postscript_among_pictures_is_counted_with_them(tmp_path: Path, quarters: Image.Image) -> None:
    for kind in ("a", "b"):
        (tmp_path / kind).mkdir()
        for n in range(10):
            quarters.save(tmp_path / kind / f"{n}.jpg", "EPS" if (kind, n) == ("a", 3) else "JPEG")
    mine = reader("mine", Dataset(reader="image_folder", root=str(tmp_path)), None)
    with fence(tmp_path) as outside:
        assert examine(mine).faults["unreadable pictures"] == 1
    assert outside == []


@pytest.mark.timeout(20)
def test_a_pipe_that_stands_for_a_picture_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(UserError, match=r"a\.jpg cannot be decoded: it is a named pipe, not a file"):
        images.size_of(tmp_path / "a.jpg")


def test_only_one_file_opens_pictures() -> None:
    """So that the list of formats and the limit of pixels hold everywhere."""
    package = Path(images.__file__).parents[1]
    opens = {p.name for p in package.rglob("*.py") if re.search(r"\bImage\.open\(", p.read_text(encoding="utf-8"))}
    assert opens == {"opening.py"}
