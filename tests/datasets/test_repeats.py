"""Training pictures that repeat another one are left out where that is asked, and cost nothing where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raytune_planes.config import Split
from raytune_planes.datasets.base import Arrays, Info
from raytune_planes.datasets.folds import fingerprint, parted
from raytune_planes.errors import UserError

COUNT = 24


@pytest.fixture
def arrays() -> Arrays:
    """Pictures of two classes that are unlike each other; the last four validate."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (COUNT, 6, 6, 3), dtype=np.uint8)
    images = coarse.repeat(8, 1).repeat(8, 2)
    splits = {"train": np.arange(COUNT - 4), "val": np.arange(COUNT - 4, COUNT), "test": np.arange(0)}
    info = Info("mine", ("a", "b"), ("a", "b"))
    return Arrays(info, images, np.arange(COUNT) % 2, None, splits, "print")


def repeated(arrays: Arrays) -> Arrays:
    images = arrays.images_NHWC.copy()
    images[4] = images[0]  # the same again
    images[6] = images[2][:, ::-1]  # mirrored
    images[8] = np.rot90(images[2])  # turned: a third one of its kind
    images[11] = images[COUNT - 1]  # a validation picture
    images[13] = images[14]  # of another class
    return replace(arrays, images_NHWC=images)


def train_of(arrays: Arrays, unique: bool) -> list[int]:
    return list(parted(arrays, Split(unique=unique)).splits["train"].tolist())


def test_repeats_of_a_class_and_of_validation_pictures_are_left_out_and_the_first_stays(arrays: Arrays) -> None:
    data = repeated(arrays)
    assert train_of(data, unique=True) == [i for i in range(COUNT - 4) if i not in (4, 6, 8, 11)]
    assert train_of(arrays, unique=True) == list(range(COUNT - 4)), "nothing is alike"


def test_validation_and_test_stay_and_the_fingerprint_tells_it(arrays: Arrays) -> None:
    data = repeated(arrays)
    found = parted(data, Split(unique=True))
    for split in ("val", "test"):
        np.testing.assert_array_equal(found.splits[split], data.splits[split])
    assert fingerprint(data, Split(unique=True)) == "print unique"
    assert fingerprint(data, Split(unique=True, use=0.5)) == "print unique use-0.5"


def test_where_nothing_is_left_that_is_said_with_the_setting(arrays: Arrays) -> None:
    images = arrays.images_NHWC.copy()
    images[:] = images[-1]
    with pytest.raises(UserError, match="split.unique leaves 'mine' no training picture"):
        parted(replace(arrays, images_NHWC=images, labels_N=np.zeros(COUNT, np.int64)), Split(unique=True))


def test_where_it_is_not_asked_no_picture_is_looked_at(arrays: Arrays) -> None:
    blind = replace(arrays, images_NHWC=None)  # type: ignore[arg-type]
    assert parted(blind, Split()) is blind


def test_a_share_is_taken_of_what_is_left(arrays: Arrays) -> None:
    kept = set(parted(repeated(arrays), Split(unique=True, use=0.5)).splits["train"].tolist())
    assert kept < set(train_of(repeated(arrays), unique=True))
