"""Which patches of a picture are hidden."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from raytune_planes.config import Augment, Dataset
from raytune_planes.datasets import hiding, sampling
from raytune_planes.datasets.eval_batches import eval_batches
from raytune_planes.datasets.hiding import Hiding
from raytune_planes.datasets.loaders import Batch, TrainStream
from raytune_planes.datasets.pixels import Pixels, Targets
from tests.datasets.test_loaders import arrays_of

ASKED = Targets(hidden=Hiding(mask=0.6, patch=4))


def draw(side: int, seed: int = 0, count: int = 5, **settings: float) -> Tensor:
    return hiding.draw(count, side, Hiding(**settings), np.random.SeedSequence(seed))  # type: ignore[arg-type]


@pytest.mark.parametrize(("side", "patch", "mask", "expected"), [(64, 8, 0.6, 38), (24, 8, 0.6, 5), (16, 4, 0.5, 8)])
def test_every_picture_hides_the_same_number_of_whole_patches(
    side: int, patch: int, mask: float, expected: int
) -> None:
    hidden_BHW = draw(side, patch=patch, mask=mask)
    across = side // patch
    patches_BP = hidden_BHW.view(5, across, patch, across, patch).permute(0, 1, 3, 2, 4).reshape(5, across**2, -1)
    assert torch.equal(patches_BP.all(2), patches_BP.any(2))
    assert patches_BP.all(2).sum(1).tolist() == [expected] * 5
    assert len({tuple(row) for row in patches_BP.all(2).tolist()}) == 5


@pytest.mark.parametrize("patch", [5, 10, 16, 24])
def test_some_pixels_stay_visible_and_some_are_hidden_where_patches_do_not_fit(patch: int) -> None:
    for mask in (0.01, 0.99):
        hidden_BHW = draw(24, patch=patch, mask=mask)
        assert hidden_BHW.shape == (5, 24, 24)
        assert hidden_BHW.any((1, 2)).all()
        assert (~hidden_BHW).any((1, 2)).all() == (patch < 24)


def stream(seed: int = 0, targets: Targets | None = ASKED) -> TrainStream:
    arrays = arrays_of([0, 1] * 20)
    pixels = Pixels(arrays, targets=targets)
    return TrainStream(arrays, Dataset(augment=Augment(mixup=0.4)), 8, seed, pixels)


def hidden(batch: Batch) -> Tensor:
    assert batch.hidden_BHW is not None
    return batch.hidden_BHW


def test_what_a_batch_hides_depends_on_seed_and_number_alone() -> None:
    assert torch.equal(hidden(stream().batch(3)), hidden(stream().batch(3)))
    assert not torch.equal(hidden(stream().batch(3)), hidden(stream().batch(4)))
    assert not torch.equal(hidden(stream().batch(3)), hidden(stream(seed=1).batch(3)))


def test_workers_and_pieces_hide_what_the_whole_batch_does() -> None:
    whole = stream().batch(2)
    parts = [stream().batch(2, rank, 4) for rank in range(4)]
    assert torch.equal(torch.cat([hidden(part) for part in parts]), hidden(whole))
    assert torch.equal(torch.cat([hidden(piece) for piece in whole.pieces(3)]), hidden(whole))


def test_nothing_is_hidden_where_no_task_asks_and_the_pictures_are_the_same() -> None:
    plain, asked = stream(targets=None).batch(0), stream().batch(0)
    assert plain.hidden_BHW is None
    assert torch.equal(plain.image_BCHW, asked.image_BCHW)


def test_validation_hides_the_same_pixels_each_time_however_many_workers_there_are() -> None:
    arrays = arrays_of([0, 1] * 20, train=10)
    pixels = Pixels(arrays, targets=ASKED)
    once, again = ([hidden(b) for b in eval_batches(arrays, "val", 8, pixels=pixels)] for _ in range(2))
    second = [hidden(b) for b in eval_batches(arrays, "val", 8, 1, 2, pixels)]
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(once[1::2], second, strict=True))
    assert not torch.equal(once[0], once[1])


def test_every_purpose_has_random_numbers_of_its_own() -> None:
    purposes = (sampling.SUBSET, sampling.SHUFFLE, sampling.AUGMENT, sampling.BLEND, sampling.HIDE)
    assert len(set(purposes)) == len(purposes)
