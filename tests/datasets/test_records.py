"""Pictures that would exceed the limit of the cache are kept compressed, and are the same pictures."""

from __future__ import annotations

import gc
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from raytune_planes.config import Dataset
from raytune_planes.datasets import cache, filling, reader, records
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.eval_batches import eval_batches
from raytune_planes.datasets.loaders import TrainStream
from raytune_planes.datasets.records import Records, Writer
from raytune_planes.errors import UserError
from raytune_planes.paths import bytes_below
from tests.datasets.test_cache import Dots, dots, elsewhere, line
from tests.datasets.test_known import scenes

SIDE, COUNT = 64, 6
SIZE = COUNT * SIDE * SIDE * (3 + 1)
"""Of the decoded entry: pictures and masks."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Pictures without noise, as compression takes them for granted, each of its own."""
    folder = tmp_path / "dots"
    folder.mkdir()
    down, across = np.mgrid[:SIDE, :SIDE]
    for i in range(COUNT):
        picture = np.stack([(down * 2 + 40 * i) % 256, across * 3, (down + across) // 2 + i], axis=2)
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{i % 2}-{i}.png")
    return folder


@pytest.fixture(autouse=True)
def small_entries_are_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SMALL_BYTES", 0)


def decoded(root: Path, folder: Path, **settings: Any) -> Arrays:
    return cache.decode(dots(root, image_size=SIDE), folder, **settings)


def test_an_entry_above_the_limit_is_compressed_and_holds_the_same_numbers(root: Path, tmp_path: Path) -> None:
    said: list[str] = []
    mapped = decoded(root, tmp_path / "mapped", limit_bytes=SIZE)
    small = decoded(root, tmp_path / "small", limit_bytes=SIZE - 1, say=said.append)
    assert isinstance(mapped.images_NHWC, np.memmap)
    assert isinstance(small.images_NHWC, Records)
    np.testing.assert_array_equal(np.asarray(small.images_NHWC), mapped.images_NHWC)
    np.testing.assert_array_equal(np.asarray(small.masks_NHW), mapped.masks_NHW)
    assert small.fingerprint == mapped.fingerprint
    held = bytes_below(tmp_path / "small" / small.fingerprint)
    assert held < SIZE / 3
    assert said[1:] == ["dots: compressed to 0.0 GiB"]
    assert said[0].startswith("dots: 0.0 GiB of pictures at 64 px are more than the 0.0 GiB of --cache-limit; they are")


def test_what_exceeds_the_limit_even_when_compressed_is_said(root: Path, tmp_path: Path) -> None:
    said: list[str] = []
    decoded(root, tmp_path / "cache", limit_bytes=100, say=said.append)
    assert said[1] == "dots: compressed to 0.0 GiB, still more than the limit: raise it or lower image_size"


def test_a_small_entry_stays_a_memory_map_whatever_the_limit(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SMALL_BYTES", SIZE)
    assert isinstance(decoded(root, tmp_path / "cache", limit_bytes=0).images_NHWC, np.memmap)


def test_entries_in_use_count_and_others_make_room(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    first = cache.decode(dots(root, image_size=SIDE, seed=1), folder)
    assert isinstance(decoded(root, folder, limit_bytes=SIZE + SIZE // 2).images_NHWC, Records)
    gone = cache.entry(folder, first.fingerprint)
    del first
    gc.collect()
    second = cache.decode(dots(root, image_size=SIDE, seed=2), folder, limit_bytes=SIZE + SIZE // 2)
    assert isinstance(second.images_NHWC, np.memmap)
    assert not gone.exists(), "unused, it was removed to keep the limit"


def test_batches_are_the_same_to_the_bit(root: Path, tmp_path: Path) -> None:
    batches = []
    for limit in (SIZE, 0):
        arrays = decoded(root, tmp_path / str(limit), limit_bytes=limit)
        stream = TrainStream(arrays, Dataset(image_size=SIDE), 3, seed=5)
        batches.append([*(stream.batch(i) for i in range(4)), *eval_batches(arrays, "val", 2)])
    for one, other in zip(*batches, strict=True):
        assert torch.equal(one.image_BCHW, other.image_BCHW)
        assert one.mask_BHW is not None
        assert other.mask_BHW is not None
        assert torch.equal(one.mask_BHW, other.mask_BHW)


def written(path: Path, values: np.ndarray) -> Records:
    writer = Writer(path, values.shape)
    for row in reversed(range(len(values))):  # in any order
        writer.write(row, values[row])
    writer.finish()
    writer.close()
    return Records(path, values.shape)


INDEXES = [
    *(0, -1, np.int64(2), slice(None), slice(1, 4, 2), slice(0, 0), [3, 1, 1], np.array([4, 0]), np.array([], int)),
    *((2, slice(3, 9), slice(5)), (np.array([1, 3]), slice(2, 7), slice(1, 20)), np.array([True, False] * 2 + [True])),
]


@pytest.mark.parametrize("shape", [(5, 13, 29, 3), (5, 13, 29)], ids=["pictures", "masks"])
@pytest.mark.parametrize("index", INDEXES, ids=str)
def test_records_are_indexed_as_arrays_are(tmp_path: Path, shape: tuple[int, ...], index: Any) -> None:
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = written(tmp_path / "x.npy", values)
    np.testing.assert_array_equal(found[index], values[index])
    assert found[index].dtype == np.uint8
    assert (found.shape, found.nbytes, len(found), found.ndim) == (values.shape, values.nbytes, 5, len(shape))


def test_a_row_that_is_not_there_is_refused(tmp_path: Path) -> None:
    found = written(tmp_path / "x.npy", np.zeros((5, 4, 4, 3), np.uint8))
    for index in (5, -6, np.array([1, 9])):
        with pytest.raises(IndexError):
            found[index]


def test_a_side_that_webp_cannot_tell_is_kept_as_well(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (1, 2, records.WEBP_MOST + 1, 3), np.uint8)
    np.testing.assert_array_equal(written(tmp_path / "x.npy", values)[0], values[0])


@pytest.fixture
def most_bytes_of_a_file() -> Iterator[int]:
    """More than the header, less than the records: a disk that fills up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield 1000
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, ignored)


def test_a_disk_that_fills_up_is_said(root: Path, tmp_path: Path, most_bytes_of_a_file: int) -> None:
    with pytest.raises(UserError, match=r"the cache folder .* cannot be used: .*File too large"):
        decoded(root, tmp_path / "cache", limit_bytes=0)


def test_records_cut_short_are_built_again(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    arrays = decoded(root, folder, limit_bytes=0)
    expected, entry = np.asarray(arrays.images_NHWC), cache.entry(folder, arrays.fingerprint)
    del arrays
    for name in ("images.npy", "images.places.npy", "masks.npy", "masks.places.npy"):
        content = (entry / name).read_bytes()
        (entry / name).write_bytes(content[: len(content) // 2])
        Dots.loads = 0
        np.testing.assert_array_equal(np.asarray(decoded(root, folder, limit_bytes=0).images_NHWC), expected)
        assert Dots.loads == COUNT


def test_compressed_entries_in_use_are_not_removed(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    arrays = decoded(root, folder, limit_bytes=0)
    with elsewhere(root, folder, 0) as other:
        while line(other) == "loading":
            pass
    cache.decode(dots(root, image_size=SIDE, seed=3), folder, limit_bytes=0)
    assert cache.entry(folder, arrays.fingerprint).is_dir()


def test_whole_scenes_are_compressed_as_well(tmp_path: Path) -> None:
    """And are the same scenes, boxes and tiles."""
    root = scenes(tmp_path / "scenes")
    settings = Dataset(root=str(root), image_size=24, tile=48)
    mapped = cache.decode(reader("hrplanes", settings, None), tmp_path / "mapped").scenes
    small = cache.decode(reader("hrplanes", settings, None), tmp_path / "small", limit_bytes=0).scenes
    assert mapped is not None
    assert small is not None
    assert isinstance(small.pixels, Records)
    assert isinstance(mapped.pixels, np.memmap)
    for scene in range(len(mapped)):
        np.testing.assert_array_equal(small.image(scene), mapped.image(scene))
        np.testing.assert_array_equal(small.boxes(scene), mapped.boxes(scene))
    np.testing.assert_array_equal(small.tile_N3, mapped.tile_N3)


def test_the_size_that_is_held_against_the_limit_counts_pictures_masks_and_scenes(tmp_path: Path) -> None:
    own = reader("hrplanes", Dataset(root=str(scenes(tmp_path / "scenes")), image_size=24, tile=48), None)
    size = filling.size(own, own.scan())
    arrays = cache.decode(own, tmp_path / "cache", limit_bytes=size)
    assert arrays.masks_NHW is not None
    assert arrays.scenes is not None
    assert size == arrays.images_NHWC.nbytes + arrays.masks_NHW.nbytes + arrays.scenes.pixels.nbytes
    assert isinstance(arrays.images_NHWC, np.memmap)
    again = cache.decode(own, tmp_path / "other", limit_bytes=size - 1)
    assert isinstance(again.images_NHWC, Records)
