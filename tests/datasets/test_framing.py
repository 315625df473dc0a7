"""A picture of any shape becomes a square as its dataset's settings say, its mask with it, and never its banner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.config import Dataset
from raytune_planes.datasets import fgvc, reader
from raytune_planes.datasets.base import Reader, Sample
from raytune_planes.datasets.fgvc import Photo, Variant
from raytune_planes.datasets.fingerprint import fingerprint
from raytune_planes.datasets.framing import PADDING, Framing
from raytune_planes.datasets.hygiene import examine
from raytune_planes.errors import UserError

WIDTH, HEIGHT = 120, 80
BOX = (40.0, 20.0, 72.0, 52.0)
BANNER_COLOUR = 200


def aircraft() -> np.ndarray:
    """Black, with a white square where the box is."""
    image_HWC = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image_HWC[20:52, 40:72] = 255
    return image_HWC


def photographs(root: Path, *, box: bool = True) -> Path:
    """Six in the format of fgvc, lossless, with a bright banner below."""
    tree = [Variant("A", "A", "M"), Variant("B", "B", "M")]
    photos = [Photo(f"{1000000 + n}", aircraft(), "AB"[n % 2], ("train", "val", "test")[n // 2], BOX) for n in range(6)]
    fgvc.write(root, photos, tree)
    for path in (root / "data" / "images").glob("*.jpg"):
        with_banner = np.full((HEIGHT + fgvc.BANNER, WIDTH, 3), BANNER_COLOUR, np.uint8)
        with_banner[:HEIGHT] = aircraft()
        Image.fromarray(with_banner).save(path, "PNG")
    if not box:
        (root / "data" / "images_box.txt").unlink()
    return root


def read(root: Path, **settings: object) -> tuple[Reader, tuple[Sample, ...]]:
    found = reader("fgvc", Dataset(root=str(root), **{"image_size": 16, **settings}), None)
    return found, found.scan().samples


def white(image_HWC: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the white part."""
    rows, columns = np.nonzero(image_HWC[..., 0] > BANNER_COLOUR + 20)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({}, (40, 30, 72, 78)),  # scaled by 1 across and by 3 / 2 down
        ({"fit": "crop"}, (30, 30, 78, 78)),  # the middle 80 columns, scaled by 3 / 2
        ({"fit": "pad"}, (40, 40, 72, 72)),  # as it is, 20 rows of grey above and below
        ({"crop_to_box": True, "box_margin": 0}, (0, 0, 120, 120)),
        ({"crop_to_box": True, "box_margin": 0.25}, (20, 20, 100, 100)),  # 8 of 48 pixels on each side
        ({"crop_to_box": True, "box_margin": 1, "fit": "pad"}, (40, 35, 80, 75)),  # 8 to 104 x 0 to 80, times 5 / 4
        ({"crop_to_box": True, "box_margin": 1, "fit": "crop"}, (36, 30, 84, 78)),  # 16 to 96 x 0 to 80, times 3 / 2
    ],
)
def test_the_object_lands_where_the_settings_put_it(
    tmp_path: Path, settings: dict[str, object], where: tuple[int, int, int, int]
) -> None:
    found, samples = read(photographs(tmp_path), image_size=120, **settings)
    image_HWC, _ = found.load(samples[0])
    assert image_HWC.shape == (120, 120, 3)
    assert np.abs(np.subtract(white(image_HWC), where)).max() <= 1, white(image_HWC)


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize("to_box", [False, True])
def test_no_banner_is_seen_in_training_prediction_or_hygiene(tmp_path: Path, fit: str, to_box: bool) -> None:
    found, samples = read(photographs(tmp_path), image_size=48, fit=fit, crop_to_box=to_box, box_margin=1.0)
    grey = {0, 255, PADDING} if fit == "pad" else {0, 255}

    def between(image_HWC: np.ndarray) -> np.ndarray:
        """Pixels that no scaling of black, white and padding can give beside each other: a row of the banner."""
        return (np.abs(image_HWC.astype(int) - BANNER_COLOUR) < 3).all(axis=(1, 2))

    assert grey >= {int(v) for v in found.load(samples[0])[0][0].ravel()}
    for shown in (found.load(samples[0])[0], found.show(samples[0].path), found.whole(samples[0]).image):
        assert not between(np.asarray(shown)).any()
    thumbs_NHWC = examine(found).pictures.thumbs_NHWC
    assert not any(between(thumb_HWC).any() for thumb_HWC in thumbs_NHWC)


def test_padding_is_nothing_to_the_model() -> None:
    assert abs(PADDING / 255 - 0.5) / 0.25 < 0.01


@pytest.mark.parametrize(("fit", "columns"), [("squash", (6, 10)), ("crop", (4, 12)), ("pad", (6, 10))])
def test_a_mask_is_framed_as_its_picture(tmp_path: Path, fit: str, columns: tuple[int, int]) -> None:
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[4:12, 12:20] = 255
    for name in ("a/1", "a/2", "a/3", "b/4", "b/5", "b/6"):
        for folder, image in (("images", pixels), ("masks", pixels[..., 0])):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_path / folder / f"{name}.png")
    found = reader("mine", Dataset(reader="image_folder", root=str(tmp_path), image_size=16, fit=fit), None)
    image_HWC, mask_HW = found.load(found.scan().samples[0])
    assert mask_HW is not None
    assert np.array_equal(mask_HW, image_HWC[..., 0] > PADDING + 20)
    _, rows = np.nonzero(mask_HW)
    assert (int(rows.min()), int(rows.max()) + 1) == columns


def test_a_box_is_a_setting_of_datasets_that_have_boxes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"datasets\.planesnet\.crop_to_box: pictures of 'planesnet' have no boxes"):
        reader("planesnet", Dataset(crop_to_box=True), tmp_path)
    with pytest.raises(UserError, match=r"datasets\.fgvc\.crop_to_box: .* the box of no picture; add images_box\.txt"):
        read(photographs(tmp_path, box=False), crop_to_box=True)


def test_pictures_without_a_box_are_counted_and_shown_whole(tmp_path: Path) -> None:
    root = photographs(tmp_path)
    lines = (root / "data" / "images_box.txt").read_text().splitlines()
    (root / "data" / "images_box.txt").write_text("\n".join(lines[1:]) + "\n")
    found, samples = read(root, image_size=120, crop_to_box=True)
    assert any("1 picture without a box, shown whole: 1000000" in w for w in found.scan().warnings)
    assert white(found.load(samples[0])[0]) == white(found.show(samples[0].path))


def test_a_box_beside_the_picture_is_refused(tmp_path: Path) -> None:
    root = photographs(tmp_path)
    boxes = root / "data" / "images_box.txt"
    boxes.write_text("".join(f"{1000000 + n} 10 90 40 99\n" for n in range(6)))  # within the banner
    found, samples = read(root, crop_to_box=True, box_margin=0)
    with pytest.raises(UserError, match=r"1000000\.jpg: the box of its object .* lies outside of the picture"):
        found.load(samples[0])


def test_a_large_photograph_is_cut_to_its_box_before_it_is_reduced(tmp_path: Path) -> None:
    """The decoder may halve a JPEG only as far as the box, not the picture, has pixels to spare."""
    root = photographs(tmp_path)
    fine = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    large = np.zeros((8 * HEIGHT + fgvc.BANNER, 8 * WIDTH, 3), np.uint8)
    large[100:164, 200:264] = fine
    Image.fromarray(large).save(root / "data" / "images" / "1000000.jpg", "JPEG", quality=100, subsampling=0)
    (root / "data" / "images_box.txt").write_text("".join(f"{1000000 + n} 201 101 264 164\n" for n in range(6)))
    found, samples = read(root, image_size=64, crop_to_box=True, box_margin=0)
    assert np.abs(found.load(samples[0])[0].astype(int) - fine).mean() < 8


def test_another_frame_is_another_entry_of_the_cache_and_none_is_the_one_before(tmp_path: Path) -> None:
    root = photographs(tmp_path)

    def key(**settings: object) -> str:
        found, _ = read(root, **settings)
        return fingerprint(found, found.scan())

    keys = [key(), key(fit="crop"), key(fit="pad"), key(crop_to_box=True), key(crop_to_box=True, box_margin=0.3)]
    keys.append(key(decoded_size=32))
    assert len(set(keys)) == 6
    assert key(box_margin=0.3) == key(eval_crop=0.5) == key(), "what decodes nothing else is no other entry"
    assert key(image_size=24, decoded_size=32) == keys[-1]


def test_the_default_frame_stretches_all_of_a_picture() -> None:
    assert Framing().window(30, 20) == (0, 0, 30, 20)
    assert Framing().sides((0, 0, 30, 20), 8) == (8, 8)
