"""Pictures that are kept as JPEG have an entry of their own, which holds what libjpeg makes of them on any host."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.config import Dataset
from raytune_planes.datasets import cache, estimate, reader, records
from raytune_planes.datasets.base import Arrays, Options, Reader
from raytune_planes.datasets.fingerprint import fingerprint
from raytune_planes.datasets.records import JPEG_START, Records, Writer
from raytune_planes.datasets.scene_crops import SceneCrops
from tests.datasets.test_known import scenes

SIDE, TILE = 24, 48


def of(root: Path, kept: str) -> Reader:
    return reader("hrplanes", Dataset(root=str(root), image_size=SIDE, tile=TILE, kept=kept), None)  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return scenes(tmp_path / "scenes")


@pytest.fixture
def both(root: Path, tmp_path: Path) -> tuple[Arrays, Arrays]:
    """Of one cache: without loss, and as JPEG."""
    plain, jpeg = (cache.decode(of(root, kept), tmp_path / "cache") for kept in ("lossless", "jpeg"))
    return plain, jpeg


def through_jpeg(picture_HWC: np.ndarray) -> np.ndarray:
    out = io.BytesIO()
    Image.fromarray(picture_HWC).save(out, "JPEG", quality=95, subsampling=0)
    return np.array(Image.open(out))


def test_an_entry_of_jpeg_holds_the_pictures_of_the_other_through_libjpeg(both: tuple[Arrays, Arrays]) -> None:
    plain, jpeg = both
    assert isinstance(plain.images_NHWC, np.memmap)
    assert isinstance(jpeg.images_NHWC, Records), "whatever the limit: what is seen must not depend on it"
    for row, picture_HWC in enumerate(plain.images_NHWC):
        np.testing.assert_array_equal(jpeg.images_NHWC[row], through_jpeg(picture_HWC))
        assert jpeg.images_NHWC.data(row).startswith(JPEG_START)
    np.testing.assert_array_equal(np.asarray(jpeg.masks_NHW), plain.masks_NHW)
    assert plain.scenes is not None
    assert jpeg.scenes is not None
    for scene in range(len(plain.scenes)):
        np.testing.assert_array_equal(jpeg.scenes.image(scene), through_jpeg(plain.scenes.image(scene)))


def test_the_two_have_keys_of_their_own_and_the_usual_one_stays(root: Path, both: tuple[Arrays, Arrays]) -> None:
    plain, jpeg = both
    assert plain.fingerprint != jpeg.fingerprint
    without = of(root, "lossless")
    without.options = Options()
    assert plain.fingerprint == fingerprint(without, without.scan())
    assert Dataset(kept="jpeg").decoded_as != Dataset().decoded_as, (
        "a study prepares both where it searches over the setting"
    )


def test_what_an_entry_of_jpeg_takes_is_said_and_estimated(root: Path, tmp_path: Path) -> None:
    said: list[str] = []
    cache.decode(of(root, "jpeg"), tmp_path / "cache", say=said.append)
    assert said == ["hrplanes: kept as JPEG, which takes 0.0 GiB"]
    own = of(root, "jpeg")
    found, _ = estimate.measure(own, own.scan())
    assert found.compressed
    assert found.disk_bytes < found.decoded_bytes
    plain, _ = estimate.measure(of(root, "lossless"), own.scan())
    assert not plain.compressed
    assert plain.decoded_bytes == found.decoded_bytes


@pytest.mark.parametrize("shape", [(1, 2, records.JPEG_MOST + 1, 3), (1, 13, 29)], ids=["too long", "a mask"])
def test_what_jpeg_cannot_hold_is_kept_without_loss(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    writer = Writer(tmp_path / "x.npy", shape, "jpeg")
    writer.write(0, values[0])
    writer.finish()
    writer.close()
    found = Records(tmp_path / "x.npy", shape)
    assert not found.data(0).startswith(JPEG_START)
    np.testing.assert_array_equal(found[0], values[0])


def test_tiles_that_are_moved_in_compressed_scenes_are_those_of_mapped_ones(root: Path, tmp_path: Path) -> None:
    mapped = cache.decode(of(root, "lossless"), tmp_path / "mapped")
    small = cache.decode(of(root, "lossless"), tmp_path / "small", limit_bytes=0)
    random = np.random.default_rng(0)
    chosen, draws = random.choice(mapped.splits["train"], 20), random.random((20, 2))
    found, expected = (SceneCrops(arrays).near(chosen, draws) for arrays in (small, mapped))
    np.testing.assert_array_equal(found.images_NHWC, expected.images_NHWC)
