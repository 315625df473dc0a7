"""Pictures with more than 8 bits: one range for a dataset, kept where its model goes; and what transparency hides."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from raytune_planes.config import Dataset
from raytune_planes.datasets import images, opening, reader
from raytune_planes.datasets.base import Info, Reader
from raytune_planes.datasets.cache import decode
from raytune_planes.datasets.depth import range_of
from raytune_planes.datasets.fingerprint import fingerprint
from raytune_planes.datasets.hygiene import examine
from raytune_planes.errors import UserError

RAMP = np.tile(np.linspace(0, 1, 64), (64, 1))
COLOURS = np.stack([RAMP, RAMP[:, ::-1], RAMP / 2], axis=-1)


def png16(path: Path, numbers_HWC: np.ndarray) -> None:
    """Pillow writes no colours of 16 bits."""
    height, width, channels = numbers_HWC.shape

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in numbers_HWC)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def tiff16(path: Path, numbers_HWC: np.ndarray, *, deflate: bool = False) -> None:
    """A TIFF of 16 bits in colours; a fourth band counts as infrared."""
    height, width, bands = numbers_HWC.shape
    data = numbers_HWC.astype("<u2").tobytes()
    data = zlib.compress(data) if deflate else data
    tags = {256: width, 257: height, 259: 8 if deflate else 1, 262: 2, 277: bands, 278: height, 279: len(data), 284: 1}
    tags |= {258: 0, 273: 0} | ({338: 0} if bands > 3 else {})
    start = 8 + 2 + 12 * len(tags) + 4
    tags |= {258: start, 273: start + 2 * bands}
    rows = b"".join(struct.pack("<HHII", tag, 3 if tag == 258 else 4, bands if tag == 258 else 1, tags[tag])
                    for tag in sorted(tags))  # fmt: skip
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + rows + struct.pack("<I", 0)
    path.write_bytes(head + struct.pack(f"<{bands}H", *[16] * bands) + data)


def mine(root: Path, size: int = 64, values: str = "", bands: str = "") -> Reader:
    config = Dataset(reader="image_folder", root=str(root), image_size=size, values=values, bands=bands)
    return reader("mine", config, None)


def shades(low: float, high: float) -> np.ndarray:
    """What the ramp from ``low`` to ``high`` looks like, where 0 is black and 1 is white."""
    return (np.clip(low + RAMP * (high - low), 0, 1) * 255).round()


def two_classes(root: Path, save: object, suffix: str) -> Path:
    """Ten dark pictures (to 2047 / 4) and ten bright ones (to 2047), of numbers as an 11-bit camera gives them."""
    for name, factor in (("bright", 1.0), ("dark", 0.25)):
        (root / name).mkdir(parents=True)
        for n in range(10):
            numbers = (RAMP * 2047 * factor).round()
            numbers[0, 0] = n % 2  # no two alike
            save(numbers, root / name / f"{n}{suffix}")  # type: ignore[operator]
    return root


SAVES = {
    "16-bit TIFF": (lambda n, p: Image.fromarray(n.astype(np.uint16)).save(p), ".tif"),
    "16-bit PNG": (lambda n, p: Image.fromarray(n.astype(np.uint16)).save(p), ".png"),
    "32-bit integers": (lambda n, p: Image.fromarray(n.astype(np.int32)).save(p), ".tif"),
    "floats": (lambda n, p: Image.fromarray(n.astype(np.float32)).save(p), ".tif"),
    "16-bit colours in PNG": (lambda n, p: png16(p, np.stack([n] * 3, -1)), ".png"),
    "16-bit colours and alpha in PNG": (lambda n, p: png16(p, np.stack([n, n, n, n * 0 + 65535], -1)), ".png"),
    "16-bit colours in TIFF": (lambda n, p: tiff16(p, np.stack([n] * 3, -1)), ".tif"),
    "16-bit colours in TIFF, packed": (lambda n, p: tiff16(p, np.stack([n] * 3, -1), deflate=True), ".tif"),
    "16-bit colours and infrared": (lambda n, p: tiff16(p, np.stack([n, n, n, n * 9], -1)), ".tif"),
}


@pytest.mark.parametrize("kind", SAVES)
def test_a_dataset_is_shown_by_the_one_range_that_its_files_use(tmp_path: Path, kind: str) -> None:
    save, suffix = SAVES[kind]
    bands = "1,2,3" if "infrared" in kind else ""
    arrays = decode(mine(two_classes(tmp_path / "data", save, suffix), bands=bands), tmp_path / "cache")
    assert arrays.info.values == pytest.approx((0, 2047), abs=1.5)
    bright, dark = arrays.images_NHWC[0], arrays.images_NHWC[10]
    np.testing.assert_allclose(bright[1:, :, 0], shades(0, 1)[1:], atol=1)
    np.testing.assert_allclose(dark[1:, :, 2], shades(0, 0.25)[1:], atol=1)
    assert "0 is shown as black and 2047 as white" in arrays.warnings[-1]


def test_colours_of_16_bits_keep_both_halves(tmp_path: Path) -> None:
    numbers = (COLOURS * 1000).round().astype(np.uint16)
    png16(tmp_path / "a.png", numbers)
    tiff16(tmp_path / "a.tif", numbers)
    expected = (numbers / 1000 * 255).round()
    for name in ("a.png", "a.tif"):
        seen = np.asarray(images.decode(tmp_path / name, values=(0, 1000)).image)
        np.testing.assert_allclose(seen, expected, atol=1)


def test_the_range_goes_with_the_cache_and_comes_back_from_it(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "data", *SAVES["16-bit TIFF"])
    first = decode(mine(root), tmp_path / "cache")
    again = decode(mine(root), tmp_path / "cache")
    assert again.fingerprint == first.fingerprint
    assert again.info == first.info
    assert isinstance(again.info.values, tuple)
    assert again.warnings == first.warnings


def test_a_setting_gives_the_range_and_makes_another_entry(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "data", *SAVES["16-bit TIFF"])
    own, given = mine(root), mine(root, values="0, 4094")
    assert fingerprint(own, own.scan()) != fingerprint(given, given.scan())
    arrays = decode(given, tmp_path / "cache")
    assert arrays.info.values == (0, 4094)
    np.testing.assert_allclose(arrays.images_NHWC[0][1:, :, 0], shades(0, 0.5)[1:], atol=1)


@pytest.mark.parametrize("text", ["5, 5", "9, 1", "1e, 3"])
def test_a_range_without_an_extent_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"datasets\.mine\.values = .*give two numbers, black's and a larger one"):
        mine(tmp_path, values=text)


def test_pictures_of_8_bits_among_them_stay_as_they_are(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "data", *SAVES["16-bit TIFF"])
    Image.fromarray((RAMP * 100).astype(np.uint8)).save(root / "dark" / "9.tif")
    arrays = decode(mine(root), tmp_path / "cache")
    np.testing.assert_array_equal(arrays.images_NHWC[-1][..., 0], (RAMP * 100).astype(np.uint8))
    assert decode(mine(two_8bit(tmp_path / "plain")), tmp_path / "cache").info.values is None


def two_8bit(root: Path) -> Path:
    return two_classes(root, lambda n, p: Image.fromarray((n / 8).astype(np.uint8)).save(p), ".png")


def test_a_deep_picture_without_a_range_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    Image.fromarray((RAMP * 2047).astype(np.uint16)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"a\.tif has numbers of more than 8 bits, from 0 to 2047, and none of"):
        images.load(tmp_path / "a.tif", 16)


def test_what_was_not_measured_sets_no_range(tmp_path: Path) -> None:
    numbers = (100 + RAMP * 400).astype(np.float32)
    numbers[:20] = -9999
    numbers[20:24] = np.nan
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[42113] = "-9999"
    Image.fromarray(numbers).save(tmp_path / "a.tif", tiffinfo=tags)
    found = range_of(lambda: opening.opened(tmp_path / "a.tif"), "a.tif")
    assert found == pytest.approx((100, 500), abs=1)
    shown = np.asarray(images.decode(tmp_path / "a.tif", values=found).image)
    assert shown[:24].max() == 0
    np.testing.assert_allclose(shown[30, :, 0], shades(0, 1)[30], atol=2)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_a_tiff_of_shades_stands_upright(tmp_path: Path, kind: type) -> None:
    exif, white = Image.Exif(), 255 if kind == np.uint8 else 2047
    exif[0x0112] = 6
    Image.fromarray((RAMP[:32] * white).round().astype(kind)).save(tmp_path / "a.tif", exif=exif)
    picture = images.decode(tmp_path / "a.tif", values=(0, 2047))
    assert (picture.width, picture.height) == picture.image.size == (32, 64)
    np.testing.assert_allclose(np.asarray(picture.image)[:, 5, 0], shades(0, 1)[0], atol=1)


def test_deep_colours_that_cannot_be_had_whole_are_refused(tmp_path: Path) -> None:
    numbers = (RAMP * 2047).astype(">u2")
    colours = np.stack([numbers] * 3, -1).tobytes()
    (tmp_path / "a.ppm").write_bytes(b"P6 64 64 65535\n" + colours)
    with pytest.raises(UserError, match=r"a\.ppm is a PPM with more than 8 bits in RGB, which is not read; save it as"):
        images.decode(tmp_path / "a.ppm", values=(0, 2047))


def test_the_range_of_a_model_is_plain_data_for_its_checkpoint() -> None:
    info = Info("x", ("a", "b"), ("", ""), parents={"family": (0, 0)}, values=(0.0, 2047.0))
    plain = json.loads(json.dumps(asdict(info)))
    assert Info.of_json(plain) == info
    del plain["values"]  # as checkpoints from before have it
    assert Info.of_json(plain) == replace(info, values=None)


def test_blank_pictures_are_a_fault(tmp_path: Path) -> None:
    root = two_8bit(tmp_path / "data")
    Image.new("L", (64, 64), 3).save(root / "dark" / "9.png")
    Image.new("RGB", (64, 64), (200, 10, 10)).save(root / "bright" / "9.png")
    assert examine(mine(root)).faults["blank pictures"] == 2


def test_data_shows_deep_pictures_as_training_sees_them(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "data", *SAVES["16-bit TIFF"])
    found = examine(mine(root))
    assert found.faults["blank pictures"] == 0
    assert found.as_json()["values"] == pytest.approx((0, 2047), abs=1.5)
    assert found.as_json()["brightness"]["most"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_colours_under_transparency_are_not_shown(tmp_path: Path, mode: str) -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[..., 0] = 255  # hidden red all around
    pixels[16:48, 16:48] = (0, 255, 0, 255)
    hidden = Image.fromarray(pixels)
    if mode == "PA":  # a palette whose entries have transparency
        hidden.quantize(4).save(tmp_path / "a.png")
    else:
        hidden.convert(mode).save(tmp_path / "a.png")
    seen = images.load(tmp_path / "a.png", 64)
    assert seen[0, 0].tolist() == [0, 0, 0]
    assert seen[32, 32].tolist() == ([0, 255, 0] if mode != "LA" else [150, 150, 150])


def test_a_mask_of_16_bits_is_read_by_its_own_numbers(tmp_path: Path) -> None:
    root = two_8bit(tmp_path / "data")
    (root / "masks" / "dark").mkdir(parents=True)
    half = np.zeros((64, 64), np.uint16)
    half[:, 32:] = 65535
    for n, high in ((0, 65535), (1, 1), (2, 255)):
        Image.fromarray((half > 0).astype(np.uint16) * high).save(root / "masks" / "dark" / f"{n}.png")
    own = mine(root)
    masks = [own.load(s)[1] for s in own.scan().samples if s.mask]
    assert len(masks) == 3
    for mask_HW in masks:
        np.testing.assert_array_equal(mask_HW, half > 0)
