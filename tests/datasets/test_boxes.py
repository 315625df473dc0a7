"""Boxes stay on their objects whatever is done to the pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from raytune_planes.config import Augment, Dataset, Policy
from raytune_planes.datasets import blending, boxes, transforms
from raytune_planes.datasets.base import Arrays, Sample
from raytune_planes.datasets.eval_batches import eval_batches
from raytune_planes.datasets.loaders import Batch, TrainStream
from raytune_planes.datasets.pixels import Pixels, Targets
from tests.datasets.test_loaders import arrays_of
from tests.datasets.test_transforms import only

SIDE = 64
ASKED = Targets(boxes=True)
CHANGES = {
    "flips": only(flips=True),
    "rotate": only(rotate=40),
    "zoom and shift": only(scale=0.3, shift=0.2),
    "all at once": only(flips=True, rotate=30, scale=0.2, shift=0.2, shear=20),
    "elastic": only(elastic=0.03, elastic_smoothness=0.15),
    "elastic and turned": only(flips=True, rotate=30, elastic=0.02, elastic_smoothness=0.15),
    "policy": only(policy=Policy(kind="randaugment", number=1, magnitude=12)),
}


def ellipses(count: int = 60) -> tuple[Tensor, Tensor]:
    """Black pictures [B, 3, S, S] of one white ellipse each, and its box [B, 2, 4]; the second row is none."""
    random = np.random.default_rng(0)
    centre_B2, radius_B2 = random.uniform(0.35, 0.65, (count, 2)), random.uniform(0.08, 0.15, (count, 2))
    places = (np.arange(SIDE) + 0.5) / SIDE
    away_BHW = ((places[None, None, :] - centre_B2[:, :1, None]) / radius_B2[:, :1, None]) ** 2 + (
        (places[None, :, None] - centre_B2[:, 1:, None]) / radius_B2[:, 1:, None]
    ) ** 2
    image_BHW = torch.from_numpy((away_BHW <= 1).astype(np.float32))
    box_B4 = torch.from_numpy(np.concatenate([centre_B2 - radius_B2, centre_B2 + radius_B2], 1).astype(np.float32))
    return image_BHW[:, None].repeat(1, 3, 1, 1), torch.stack([box_B4, torch.zeros_like(box_B4)], 1)


def bright(image_CHW: Tensor, box_4: Tensor | None = None) -> Tensor:
    """The box of what is bright; with ``box_4`` of the one spot that has the most pixels in it: borders mirror."""
    spots_HW, _ = ndimage.label((image_CHW[0] > 0.5).numpy())
    if box_4 is not None:
        left, top, right, bottom = (box_4 * SIDE).round().int().tolist()
        spots_HW = spots_HW == np.bincount(spots_HW[top:bottom, left:right].ravel(), minlength=2)[1:].argmax() + 1
    rows, columns = torch.from_numpy(spots_HW).nonzero(as_tuple=True)
    return torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / SIDE


@pytest.mark.parametrize("change", CHANGES)
def test_a_box_holds_its_object_and_little_else_after_every_change(change: str) -> None:
    settings, (images_BCHW, boxes_BM4) = CHANGES[change], ellipses()
    draws_BD = transforms.draw(len(images_BCHW), torch.Generator().manual_seed(1))
    changed_BCHW, _ = transforms.apply(images_BCHW, None, settings, draws_BD)
    moved_BM4 = transforms.moved_boxes(boxes_BM4, settings, draws_BD, images_BCHW)
    assert (moved_BM4[:, 1] == 0).all()
    seen, least = 0, 0.5 if "ro" in change or "all" in change or "turned" in change or change == "policy" else 0.7
    for image_CHW, box_4 in zip(changed_BCHW, moved_BM4[:, 0], strict=True):
        if not (boxes.area(box_4) > 0 and box_4.min() > 0.02 and box_4.max() < 0.98):
            continue
        if not (image_CHW > 0.5).any():  # a policy made white black
            continue
        seen, tight_4 = seen + 1, bright(image_CHW, box_4)
        assert (tight_4[:2] >= box_4[:2] - 1.6 / SIDE).all()
        assert (tight_4[2:] <= box_4[2:] + 1.6 / SIDE).all()
        assert boxes.area(tight_4) >= least * boxes.area(box_4)  # a turned box's hull is larger than its ellipse's
    assert seen > 30


def test_flips_alone_move_boxes_exactly() -> None:
    images_BCHW = torch.zeros(8, 3, SIDE, SIDE)
    images_BCHW[:, :, 8:16, 20:44] = 1
    boxes_BM4 = (torch.tensor([20.0, 8, 44, 16]) / SIDE).expand(8, 1, 4)
    draws_BD = torch.zeros(8, transforms.COLUMNS, dtype=torch.float64)
    draws_BD[:, transforms.TURNS] = torch.tensor([0, 0.3, 0.6, 0.9] * 2, dtype=torch.float64)
    draws_BD[4:, transforms.FLIP] = 0.9
    changed, _ = transforms.apply(images_BCHW, None, only(flips=True), draws_BD)
    moved = transforms.moved_boxes(boxes_BM4, only(flips=True), draws_BD, images_BCHW)
    torch.testing.assert_close(moved[:, 0], torch.stack([bright(image) for image in changed]))
    assert len({tuple(box) for box in (moved[:, 0] * SIDE).round().tolist()}) == 4


def test_a_box_that_leaves_the_picture_is_cut_and_then_gone() -> None:
    rows = [torch.ones(1), torch.zeros(1), torch.zeros(1), torch.zeros(1), torch.ones(1), torch.zeros(1)]

    def shifted(by: float) -> list[float]:
        """The box after its picture has moved to the left by this share of the side."""
        rows[2] = torch.tensor([2 * by])
        found: list[float] = boxes.moved(torch.tensor([[[0.1, 0.2, 0.3, 0.4]]]), rows)[0, 0].tolist()
        return found

    assert shifted(0.05) == pytest.approx([0.05, 0.2, 0.25, 0.4])
    assert shifted(0.2) == pytest.approx([0, 0.2, 0.1, 0.4])
    assert shifted(0.26) == [0, 0, 0, 0]


def test_boxes_of_tiles_are_shares_of_the_tile() -> None:
    sample = Sample(Path("a"), 1, "a", (100, 0, 180, 80), ((0.0, 8.0, 40.0, 80.0), (8.0, 8.0, 16.0, 24.0)))
    got = boxes.padded([sample, replace(sample, boxes=())])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [[[0, 0.1, 0.5, 1], [0.1, 0.1, 0.2, 0.3]], [[0] * 4] * 2], atol=1e-7)
    assert boxes.padded([replace(sample, boxes=())]).shape == (1, 1, 4)


def recipe(share: float, hole: tuple[int, int, int, int] | None = None) -> blending.Recipe:
    """One picture of 100 pixels; ``hole``: top, bottom, left, right."""
    box = np.array([hole or (0, 0, 0, 0)])
    return blending.Recipe(np.array([0]), np.array([share]), box, np.array([hole is not None]))


MINE, OTHER = torch.tensor([[[0.0, 0.0, 0.4, 0.4]]]), torch.tensor([[[0.5, 0.5, 0.9, 0.9]]])
NONE = [0.0] * 4


@pytest.mark.parametrize(("share", "mine", "other"), [(0.9, True, False), (0.6, True, True), (0.1, False, True)])
def test_mixup_keeps_the_boxes_of_what_is_not_faint(share: float, mine: bool, other: bool) -> None:
    got = boxes.blended(MINE, OTHER, recipe(share), 100)[0].tolist()
    assert got == [MINE[0, 0].tolist() if mine else NONE, OTHER[0, 0].tolist() if other else NONE]


def test_cutmix_drops_what_it_covers_and_cuts_what_it_pastes() -> None:
    covers = boxes.blended(MINE, OTHER, recipe(0.5, (0, 70, 0, 80)), 100)[0].tolist()
    assert covers[0] == NONE
    assert covers[1] == pytest.approx([0.5, 0.5, 0.8, 0.7])
    beside = boxes.blended(MINE, OTHER, recipe(0.5, (0, 60, 20, 60)), 100)[0].tolist()
    assert beside == [pytest.approx(MINE[0, 0].tolist()), NONE]  # half is seen; a sixteenth is pasted
    nothing = boxes.blended(MINE, OTHER, recipe(1.0, (0, 0, 0, 0)), 100)[0].tolist()
    assert nothing == [pytest.approx(MINE[0, 0].tolist()), NONE]


def boxed(count: int = 40, train: int | None = None) -> Arrays:
    plain = arrays_of([0, 1] * (count // 2), train=train)
    corner_NM2 = np.random.default_rng(1).uniform(0.1, 0.6, (count, 3, 2)).astype(np.float32)
    return replace(plain, boxes_NM4=np.concatenate([corner_NM2, corner_NM2 + 0.2], 2))


def stream(augment: Augment, targets: Targets | None = ASKED) -> TrainStream:
    arrays = boxed()
    return TrainStream(arrays, Dataset(augment=augment), 8, 0, Pixels(arrays, targets=targets))


def held(batch: Batch) -> Tensor:
    assert batch.boxes_BM4 is not None
    return batch.boxes_BM4


@pytest.mark.parametrize("augment", [Augment(), Augment(elastic=0.02, mixup=0.5, cutmix=1), only(flips=True)])
def test_workers_and_pieces_get_the_boxes_of_the_whole_batch(augment: Augment) -> None:
    whole = stream(augment).batch(2)
    parts = [stream(augment).batch(2, rank, 4) for rank in range(4)]
    assert torch.equal(torch.cat([held(part) for part in parts]), held(whole))
    assert torch.equal(torch.cat([held(piece) for piece in whole.to("cpu").pieces(3)]), held(whole))


def test_boxes_come_only_where_a_task_asks_and_the_pictures_are_the_same() -> None:
    plain, asked = stream(Augment(), targets=None).batch(0), stream(Augment()).batch(0)
    assert plain.boxes_BM4 is None
    assert torch.equal(plain.image_BCHW, asked.image_BCHW)
    arrays = arrays_of([0, 1, 0, 1])
    assert TrainStream(arrays, Dataset(), 2, 0, Pixels(arrays, targets=ASKED)).batch(0).boxes_BM4 is None


def test_validation_hands_out_the_boxes_as_they_are() -> None:
    arrays = boxed(train=20)
    got = torch.cat([held(b) for b in eval_batches(arrays, "val", 8, pixels=Pixels(arrays, targets=ASKED))])
    assert arrays.boxes_NM4 is not None
    np.testing.assert_array_equal(got.numpy(), arrays.boxes_NM4[20:])
