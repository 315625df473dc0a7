"""Decoding by content, upright, at a fraction of the size, and errors that name their file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.datasets import images
from raytune_planes.errors import UserError


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


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
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


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    suffix = "tif" if mode in ("CMYK", "I;16") else "png"
    image = Image.new(mode, (32, 32), 40000) if mode == "I;16" else Image.new("RGB", (32, 32), "white").convert(mode)
    image.save(tmp_path / f"a.{suffix}")
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


def test_a_listed_picture_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no picture .*gone\.jpg"):
        images.load(tmp_path / "gone.jpg", 16)


def test_the_guard_against_bombs_stays_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match=r"bomb\.png cannot be decoded: .*exceeds limit"):
        images.size_of(tmp_path / "bomb.png")
