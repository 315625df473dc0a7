"""Training batches are a pure function of seed and number; evaluation sees every sample once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_planes.config import Augment, Dataset
from raytune_planes.datasets import sampling
from raytune_planes.datasets.base import Arrays, Info
from raytune_planes.datasets.eval_batches import eval_batches
from raytune_planes.datasets.loaders import Batch, TrainStream, share
from raytune_planes.datasets.pixels import Pixels
from raytune_planes.errors import UserError

STILL = Augment(flips=False, rotate=0, scale=0, shift=0, color=0)


def arrays_of(labels: list[int], *, train: int | None = None, masks: bool = True, side: int = 16) -> Arrays:
    """Every picture shows its own number; the first ``train`` are for training, the others for validation."""
    count, rng = len(labels), np.random.default_rng(0)
    train = count if train is None else train
    images = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.arange(count) // 256, np.arange(count) % 256
    classes = tuple("abcdefghij"[: max(labels) + 1])
    pixels = (images[..., 2] > 127).astype(np.uint8) if masks else None
    for array in (images, pixels):
        if array is not None:
            array.setflags(write=False)
    split = {"train": np.arange(train), "val": np.arange(train, count), "test": np.arange(0)}
    info = Info("toy", classes, classes, has_masks=masks)
    return Arrays(info, images, np.array(labels), pixels, split, fingerprint="0" * 32)


def numbers(batch: Batch) -> list[int]:
    shown = ((batch.image_BCHW[:, :2, 0, 0] * 0.25 + 0.5) * 255).round().long()
    return (shown[:, 0] * 256 + shown[:, 1]).tolist()


def stream(labels: list[int], batch_size: int = 4, seed: int = 0, **changes: object) -> TrainStream:
    dataset = Dataset().model_copy(update={"augment": STILL, **changes})
    return TrainStream(arrays_of(labels), dataset, batch_size, seed)


def drawn(of: TrainStream, batches: int) -> list[int]:
    return np.concatenate([of.indexes(i) for i in range(batches)]).tolist()


def equal(a: Batch, b: Batch) -> bool:
    assert a.mask_BHW is not None
    assert b.mask_BHW is not None
    pairs = ((a.image_BCHW, b.image_BCHW), (a.label_B, b.label_B), (a.mask_BHW, b.mask_BHW))
    return all(torch.equal(x, y) for x, y in pairs)


def test_a_batch_holds_normalised_images_labels_and_masks() -> None:
    arrays = arrays_of([0, 1, 2, 0, 1, 2])
    batch = TrainStream(arrays, Dataset(augment=STILL), 6, seed=0).batch(0)
    assert batch.dataset == "toy"
    assert batch.image_BCHW.dtype == torch.float32
    assert batch.label_B.dtype == torch.int64
    assert batch.mask_BHW is not None
    for row, number in enumerate(numbers(batch)):
        expected = (arrays.images_NHWC[number].astype(np.float32) / 255 - 0.5) / 0.25
        np.testing.assert_allclose(batch.image_BCHW[row].permute(1, 2, 0).numpy(), expected, atol=1e-6)
        np.testing.assert_array_equal(batch.mask_BHW[row].numpy(), arrays.masks_NHW[number])  # type: ignore[index]
        assert batch.label_B[row] == number % 3
    assert len(batch) == len(batch.to("cpu")) == 6


def test_datasets_without_masks_give_none() -> None:
    arrays = arrays_of([0, 1, 0, 1], masks=False)
    assert TrainStream(arrays, Dataset(), 2, seed=0).batch(0).mask_BHW is None
    assert next(eval_batches(arrays, "train", 2)).mask_BHW is None


def test_a_batch_depends_only_on_seed_and_number() -> None:
    labels = [0, 1] * 10
    ordered = [stream(labels, augment=Augment(erase=0.2, noise=0.1)).batch(i) for i in range(12)]
    other = stream(labels, augment=Augment(erase=0.2, noise=0.1))
    for i in (11, 0, 7, 7, 3):
        assert equal(other.batch(i), ordered[i])
    assert not equal(stream(labels, seed=1).batch(0), stream(labels).batch(0))


def test_datasets_of_one_seed_are_shuffled_differently() -> None:
    places = np.arange(50)
    orders = [sampling.Shuffled(np.arange(50), 0, name).at(places).tolist() for name in ("a", "b")]
    assert orders[0] != orders[1]


@given(count=st.integers(1, 40), batch_size=st.integers(1, 50), seed=st.integers(0, 2**31 - 1))
@settings(deadline=None, max_examples=50)
def test_every_pass_shows_every_image_once_in_an_order_of_its_own(count: int, batch_size: int, seed: int) -> None:
    of = stream([0] * count, batch_size, seed)
    shown = drawn(of, -(-3 * count // batch_size))
    passes = [shown[k * count : (k + 1) * count] for k in range(3)]
    assert all(sorted(p) == list(range(count)) for p in passes)
    assert count < 8 or passes[0] != passes[1] != passes[2]
    assert of.size == count


def test_a_dataset_smaller_than_a_batch_still_fills_it() -> None:
    batch = stream([0, 1, 2], 8).batch(5)
    assert len(batch) == 8
    assert set(Counter(numbers(batch)).values()) <= {2, 3}


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    batch_size=st.integers(1, 20),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=50)
def test_balanced_rounds_hold_every_class_once_without_early_repeats(
    sizes: list[int], batch_size: int, seed: int
) -> None:
    labels = [k for k, size in enumerate(sizes) for _ in range(size)]
    rounds = 2 * max(sizes)
    shown = drawn(stream(labels, batch_size, seed, class_balanced=True), -(-rounds * len(sizes) // batch_size))
    shown = shown[: rounds * len(sizes)]
    for r in range(rounds):
        assert sorted(labels[i] for i in shown[r * len(sizes) : (r + 1) * len(sizes)]) == list(range(len(sizes)))
    for k, size in enumerate(sizes):
        own = [i for i in shown if labels[i] == k]
        for start in range(0, len(own) - size + 1, size):
            assert len(set(own[start : start + size])) == size, "no repeat before the class is exhausted"


def test_a_class_without_training_images_takes_no_part_in_balancing() -> None:
    of = TrainStream(
        arrays_of([0, 0, 2, 2, 2, 1], train=5), Dataset(augment=STILL, class_balanced=True), 10, seed=0
    ).batch(0)
    assert Counter(of.label_B.tolist()) == {0: 5, 2: 5}


@given(
    world=st.sampled_from([1, 2, 3, 4, 6, 12]),
    index=st.integers(0, 50),
    balanced=st.booleans(),
    augment=st.sampled_from(
        [
            *(Augment(), STILL, Augment(rotate=0, scale=0, shift=0), Augment(noise=0.1, erase=0.3)),
            *(Augment(mixup=0.4), Augment(cutmix=1.0), Augment(mixup=1.0, cutmix=1.0, elastic=0.02)),
        ]
    ),
)
@settings(deadline=None, max_examples=60)
def test_the_slices_of_all_workers_join_to_the_batch_of_one_bit_for_bit(
    world: int, index: int, balanced: bool, augment: Augment
) -> None:
    of = stream([0, 1, 1, 2] * 8, 12, augment=augment, class_balanced=balanced)
    whole, parts = of.batch(index), [of.batch(index, rank, world) for rank in range(world)]
    assert torch.equal(torch.cat([p.image_BCHW for p in parts]), whole.image_BCHW)
    assert torch.equal(torch.cat([p.label_B for p in parts]), whole.label_B)
    assert torch.equal(torch.cat([p.target(3) for p in parts]), whole.target(3))
    assert whole.mask_BHW is not None
    assert torch.equal(torch.cat([p.mask_BHW for p in parts if p.mask_BHW is not None]), whole.mask_BHW)


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    with pytest.raises(UserError, match=r"budget.batch_size = 33 does not divide by 2 workers; set it to 32 or 34"):
        share(33, 0, 2)
    with pytest.raises(UserError, match="set it to 4"):
        stream([0, 1], 2).batch(0, rank=3, world=4)


def test_a_dataset_without_training_images_is_refused() -> None:
    with pytest.raises(UserError, match=r"toy has no training images.*datasets.toy.enabled=false"):
        TrainStream(arrays_of([0, 1], train=0), Dataset(), 2, seed=0)


@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6), limit=st.integers(0, 120), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=100)
def test_a_limit_keeps_all_classes_in_proportion(sizes: list[int], limit: int, seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    kept = sampling.stratified(labels, limit, seed, "toy")
    assert len(set(kept.tolist())) == len(kept) == (min(limit, len(labels)) if limit else len(labels))
    counts = np.bincount(labels[kept], minlength=len(sizes))
    if limit >= len(sizes):
        assert counts.min() >= 1
    if 0 < limit < len(labels):
        exact = np.array(sizes) * limit / len(labels)
        raised = np.maximum(1 - exact, 0).sum()  # what classes of less than one image took from the others
        assert np.abs(counts - exact).max() < 1 + raised


def test_the_stream_stays_inside_its_limit_and_a_larger_limit_contains_it() -> None:
    labels = [0] * 30 + [1] * 10
    small, large = (set(drawn(stream(labels, 4, limit=limit), 20)) for limit in (8, 20))
    assert len(small) == 8
    assert Counter(labels[i] for i in small) == {0: 6, 1: 2}
    assert small < large


@given(count=st.integers(0, 30), batch_size=st.integers(1, 12), world=st.integers(1, 7), split=st.sampled_from(["val"]))
@settings(deadline=None, max_examples=50)
def test_evaluation_batches_are_the_same_however_many_workers_share_them(
    count: int, batch_size: int, world: int, split: str
) -> None:
    arrays = arrays_of([0] * (3 + count), train=3)
    alone = [numbers(b) for b in eval_batches(arrays, split, batch_size)]
    assert [n for batch in alone for n in batch] == list(range(3, 3 + count))
    for rank in range(world):
        assert [numbers(b) for b in eval_batches(arrays, split, batch_size, rank, world)] == alone[rank::world]


def test_evaluation_images_are_not_augmented() -> None:
    arrays = arrays_of([0, 1, 0, 1])
    batch = next(eval_batches(arrays, "train", 4))
    expected = (arrays.images_NHWC.astype(np.float32) / 255 - 0.5) / 0.25
    np.testing.assert_allclose(batch.image_BCHW.permute(0, 2, 3, 1).numpy(), expected, atol=1e-6)


def test_pictures_that_live_on_the_device_give_the_same_batches() -> None:
    arrays, dataset = arrays_of([0, 1] * 8, train=12), Dataset(augment=Augment(noise=0.1, erase=0.2))
    held = Pixels(arrays, "cpu", is_resident=True)
    mapped = TrainStream(arrays, dataset, 4, seed=1)
    resident = TrainStream(arrays, dataset, 4, seed=1, pixels=held)
    assert all(equal(mapped.batch(i), resident.batch(i)) for i in range(4))
    validation = (eval_batches(arrays, "val", 3), eval_batches(arrays, "val", 3, pixels=held))
    assert all(equal(a, b) for a, b in zip(*validation, strict=True))


@pytest.mark.parametrize("is_resident", [False, True])
def test_pictures_are_copied_only_where_they_are_to_live_on_the_device(is_resident: bool) -> None:
    arrays = arrays_of([0, 1, 0, 1])
    held = np.asarray(Pixels(arrays, "cpu", is_resident)._images_NHWC)
    assert np.shares_memory(held, arrays.images_NHWC) is not is_resident


def test_strength_is_a_factor_of_all_changes_of_place_and_noise_and_leaves_the_others() -> None:
    settings = Augment(flips=True, rotate=30, scale=0.2, shift=0.1, shear=10, elastic=0.02, noise=0.05, color=0.4)
    half = settings.model_copy(update={"strength": 0.5}).applied
    assert (half.rotate, half.scale, half.shift, half.shear) == (15, 0.1, 0.05, 5)
    assert (half.elastic, half.noise, half.color, half.flips) == (0.01, 0.025, 0.4, True)
    assert settings.applied is settings, "the default costs nothing"


def test_training_at_strength_0_sees_no_change_of_place() -> None:
    changed = Augment(flips=False, rotate=40, scale=0.3, shift=0.2, color=0, noise=0.1)
    still, none = (stream([0, 1, 0, 1], augment=a) for a in (STILL, changed.model_copy(update={"strength": 0.0})))
    assert equal(still.batch(0), none.batch(0))
    assert not equal(still.batch(0), stream([0, 1, 0, 1], augment=changed).batch(0))
