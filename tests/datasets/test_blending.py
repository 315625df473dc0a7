"""MixUp averages, CutMix pastes, and labels and masks follow by the same shares."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raytune_planes.config import Augment, Dataset
from raytune_planes.datasets import blending
from raytune_planes.datasets.loaders import Batch, TrainStream
from tests.datasets.test_loaders import STILL, arrays_of


def recipe(count: int = 2000, side: int = 20, seed: int = 0, **alphas: float) -> blending.Recipe:
    return blending.draw(count, side, Augment(**alphas), np.random.SeedSequence(seed))


def batches(**alphas: float) -> tuple[Batch, Batch, blending.Recipe]:
    """The same batch plain and blended, and how."""
    arrays, size = arrays_of([0, 1, 2, 0, 1, 2, 1, 1]), 8
    plain = TrainStream(arrays, Dataset(augment=STILL), size, seed=2).batch(1)
    stream = TrainStream(arrays, Dataset(augment=STILL.model_copy(update=alphas)), size, seed=2)
    from raytune_planes.datasets import sampling

    how = blending.draw(size, 16, stream._augment, sampling.seeds(2, "toy", sampling.BLEND, 1))
    return plain, stream.batch(1), how


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_shares_are_beta_distributed(alpha: float) -> None:
    share_B = recipe(mixup=alpha).share_B
    assert share_B.mean() == pytest.approx(0.5, abs=0.03)
    assert share_B.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_cutmix_areas_are_the_shares_and_uniform_for_alpha_one_before_the_border_cuts() -> None:
    how = recipe(side=64, cutmix=1.0)
    top, bottom, left, right = how.box_B4.T
    assert (bottom - top) * (right - left) / 64**2 == pytest.approx(1 - how.share_B, abs=1e-12)
    assert how.pastes_B.all()
    assert how.box_B4.min() >= 0
    assert how.box_B4.max() <= 64
    whole = (top > 0) & (left > 0) & (bottom < 64) & (right < 64)
    assert np.abs((bottom - top) - (right - left))[whole].max() <= 1, "of the image's own proportions"


def test_partners_are_a_permutation_and_both_kinds_take_half_each() -> None:
    how = recipe(mixup=1.0, cutmix=1.0)
    assert sorted(how.partner_B) == list(range(2000))
    assert how.pastes_B.mean() == pytest.approx(0.5, abs=0.05)
    assert not how.box_B4[~how.pastes_B].any()
    assert not recipe(mixup=1.0).pastes_B.any()


def test_a_mixup_pixel_is_the_convex_combination_by_the_labels_share() -> None:
    plain, mixed, how = batches(mixup=1.0)
    share = torch.from_numpy(how.share_B).float()
    partner = torch.from_numpy(how.partner_B)
    expected = share[:, None, None, None] * plain.image_BCHW
    expected = expected + (1 - share)[:, None, None, None] * plain.image_BCHW[partner]
    torch.testing.assert_close(mixed.image_BCHW, expected, atol=1e-5, rtol=0)
    assert mixed.mask_BHW is not None
    assert plain.mask_BHW is not None
    soft = share[:, None, None] * plain.mask_BHW + (1 - share)[:, None, None] * plain.mask_BHW[partner]
    torch.testing.assert_close(mixed.mask_BHW, soft, atol=1e-6, rtol=0)
    one_hot = torch.nn.functional.one_hot(plain.label_B, 3).float()
    torch.testing.assert_close(mixed.target(3), share[:, None] * one_hot + (1 - share)[:, None] * one_hot[partner])


def test_cutmix_pastes_picture_and_mask_and_weighs_the_labels_by_area() -> None:
    plain, mixed, how = batches(cutmix=1.0)
    pasted = 0
    for row, (top, bottom, left, right) in enumerate(how.box_B4.tolist()):
        inside = torch.zeros(16, 16, dtype=torch.bool)
        inside[top:bottom, left:right] = True
        partner = int(how.partner_B[row])
        image = torch.where(inside, plain.image_BCHW[partner], plain.image_BCHW[row])
        assert torch.equal(mixed.image_BCHW[row], image)
        assert plain.mask_BHW is not None
        assert mixed.mask_BHW is not None
        assert torch.equal(mixed.mask_BHW[row], torch.where(inside, plain.mask_BHW[partner], plain.mask_BHW[row]))
        weight = torch.zeros(3)
        weight[plain.label_B[row]] += 1 - inside.float().mean()
        weight[plain.label_B[partner]] += inside.float().mean()
        torch.testing.assert_close(mixed.target(3)[row], weight)
        pasted += bool(0 < inside.sum() < 256)
    assert pasted >= 4


def test_the_label_is_that_of_the_larger_part_and_so_is_the_mask_at_one_half() -> None:
    plain, mixed, how = batches(mixup=1.0)
    assert mixed.share_B is not None
    assert mixed.mask_BHW is not None
    assert plain.mask_BHW is not None
    assert mixed.share_B.min() >= 0.5
    larger = np.where(how.share_B >= 0.5, np.arange(8), how.partner_B)
    assert torch.equal(mixed.label_B, plain.label_B[torch.from_numpy(larger)])
    assert torch.equal((mixed.mask_BHW > 0.5).float(), plain.mask_BHW[torch.from_numpy(larger)])
    assert (how.share_B < 0.5).any()


def test_a_blended_batch_is_cut_into_pieces_and_moved_whole() -> None:
    _, mixed, _ = batches(mixup=1.0)
    pieces = [piece.to("cpu") for piece in mixed.pieces(3)]
    assert torch.equal(torch.cat([p.target(3) for p in pieces]), mixed.target(3))
    assert torch.equal(torch.cat([p.image_BCHW for p in pieces]), mixed.image_BCHW)


def test_without_blending_the_target_is_the_label() -> None:
    plain, _, _ = batches()
    assert plain.other_B is None
    assert plain.target(3) is plain.label_B
    assert not blending.is_asked(Augment())
