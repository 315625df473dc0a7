"""Augmentation moves image and mask together, takes all randomness from its generator, and costs nothing when off."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from raytune_planes.config import Augment, Policy
from raytune_planes.datasets import transforms, warping

OFF = Augment(flips=False, rotate=0, scale=0, shift=0, color=0, noise=0, erase=0)
ALL = Augment(flips=True, rotate=30, scale=0.2, shift=0.1, color=0.4, noise=0.05, erase=0.2)

NEW = {
    "shear": Augment(shear=20),
    "elastic": Augment(elastic=0.03),
    "elastic alone": Augment(flips=False, rotate=0, scale=0, shift=0, color=0, elastic=0.05),
    "blur": Augment(blur=0.2),
    "edges": Augment(edges=0.8),
    "morphology": Augment(morphology=0.8),
    "closing": Augment(morphology=1, morphology_kind="closing", morphology_radius=2),
    "randaugment": Augment(policy=Policy(kind="randaugment", number=4, magnitude=20)),
    "half randaugment": Augment(policy=Policy(kind="randaugment", share=0.5)),
    "autoaugment": Augment(policy=Policy(kind="autoaugment")),
    "everything": Augment(
        **{"shear": 10, "elastic": 0.02, "blur": 0.1, "edges": 0.3, "morphology": 0.4, "noise": 0.05, "erase": 0.1},
        policy=Policy(kind="randaugment"),
    ),
}
"""What came after the first settings."""


def only(**strengths: object) -> Augment:
    return OFF.model_copy(update=strengths)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(count: int = 16, side: int = 24) -> tuple[Tensor, Tensor]:
    """Pictures whose red channel is the mask of an off-centre disc; nothing touches the border."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    disc = ((x - side * 0.6) ** 2 + (y - side * 0.45) ** 2 < (side / 5) ** 2).float()
    masks = disc.expand(count, side, side).clone()
    images = torch.stack([masks, torch.full_like(masks, 0.3), torch.rand(count, side, side, generator=seeded())], dim=1)
    return images, masks


def augmented(settings: Augment, seed: int = 0) -> tuple[Tensor, Tensor]:
    images, masks = transforms.augment(*blobs(), settings, seeded(seed))
    assert masks is not None
    return images, masks


def test_with_everything_off_the_batch_comes_back_as_it_was() -> None:
    images, masks = blobs()
    out, out_masks = transforms.augment(images, masks, OFF, seeded())
    assert out is images
    assert out_masks is masks


def test_the_input_is_left_as_it_was() -> None:
    images, masks = blobs()
    transforms.augment(images, masks, ALL, seeded())
    assert torch.equal(images, blobs()[0])
    assert torch.equal(masks, blobs()[1])


def test_values_stay_in_range_and_masks_stay_binary() -> None:
    images, masks = augmented(ALL)
    assert images.min() >= 0
    assert images.max() <= 1
    assert images.dtype == masks.dtype == torch.float32
    assert set(masks.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    "settings", [ALL, Augment(), only(flips=True), only(noise=0.1), only(erase=0.3), *NEW.values()], ids=str
)
@pytest.mark.parametrize("world", [2, 4, 16])
def test_slices_with_their_part_of_the_draws_equal_the_whole_batch(settings: Augment, world: int) -> None:
    images, masks = blobs()
    draws = transforms.draw(len(images), seeded(3))
    whole, whole_masks = transforms.apply(images, masks, settings, draws)
    parts = [
        transforms.apply(image, mask, settings, own)
        for image, mask, own in zip(images.chunk(world), masks.chunk(world), draws.chunk(world), strict=True)
    ]
    assert torch.equal(torch.cat([image for image, _ in parts]), whole)
    assert whole_masks is not None
    assert torch.equal(torch.cat([mask for _, mask in parts if mask is not None]), whole_masks)


def test_only_the_passed_generator_is_used() -> None:
    torch.manual_seed(1)
    first, state = augmented(ALL, seed=5), torch.get_rng_state()
    torch.manual_seed(2)
    second = augmented(ALL, seed=5)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], augmented(ALL, seed=6)[0])
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())


def test_images_of_one_batch_are_treated_differently() -> None:
    for settings in (only(flips=True), only(rotate=20), only(scale=0.3), only(shift=0.2), only(color=0.3)):
        assert len(torch.unique(augmented(settings)[0][:, 0].flatten(1), dim=0)) > 4, settings


def test_turns_and_flips_are_the_eight_symmetries_of_the_square_exactly() -> None:
    image = torch.rand(1, 3, 8, 8, generator=seeded())
    images, masks = transforms.augment(
        image.expand(400, -1, -1, -1), image[:, 0].expand(400, -1, -1).round(), only(flips=True), seeded()
    )
    turned = [image[0].rot90(k, (1, 2)) for k in range(4)]
    symmetries = torch.stack([*turned, *(t.flip(2) for t in turned)])
    which = (images[:, None] == symmetries).flatten(2).all(2)
    assert (which.sum(1) == 1).all()
    assert (which.sum(0) > 25).all(), "each of the eight is equally likely"
    assert masks is not None
    assert torch.equal(masks, images[:, 0].round())


def test_turns_and_flips_inside_a_warp_are_the_same_symmetries() -> None:
    image = torch.rand(1, 3, 8, 8, generator=seeded())
    batch, draws = image.expand(64, -1, -1, -1), transforms.draw(64, seeded())
    exact, _ = transforms.apply(batch, None, only(flips=True), draws)
    warped, _ = transforms.apply(batch, None, only(flips=True, shift=1e-9), draws)
    turned = [image[0].rot90(k, (1, 2)) for k in range(4)]
    for symmetry in [*turned, *(t.flip(2) for t in turned)]:
        assert (warped - symmetry).abs().flatten(1).amax(1).lt(1e-4).any()
        assert (exact - symmetry).abs().flatten(1).amax(1).eq(0).any()


@pytest.mark.parametrize(
    "settings",
    [
        *(only(rotate=180), only(scale=0.3), only(shift=0.1), Augment(color=0)),
        *(only(shear=30), only(elastic=0.04), Augment(color=0, shear=20, elastic=0.03)),
    ],
    ids=str,
)
def test_the_mask_follows_the_image_through_every_warp(settings: Augment) -> None:
    images, masks = augmented(settings)
    assert torch.equal(images[:, 0] >= 0.5, masks.bool()), "the red channel is the mask"
    assert not torch.equal(masks, blobs()[1])


def test_rotation_zoom_and_shift_move_by_as_much_as_asked() -> None:
    _, still = blobs(256)
    draws = transforms.draw(256, seeded())

    def centres(masks: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        assert masks is not None
        place = torch.arange(24.0) - 11.5
        area = masks.sum((1, 2))
        return area, (masks.sum(1) * place).sum(1) / area, (masks.sum(2) * place).sum(1) / area

    area, x, y = centres(still)
    shifted = centres(transforms.apply(*blobs(256), settings=only(shift=0.1), draws_BD=draws)[1])
    assert (shifted[1] - x).abs().max() == pytest.approx(2.4, abs=0.3)
    assert (shifted[1] - x).abs().min() < 0.2
    zoomed = centres(transforms.apply(*blobs(256), settings=only(scale=0.3), draws_BD=draws)[1])
    assert (zoomed[0] / area).max().sqrt() == pytest.approx(1.3, abs=0.07)
    assert (zoomed[0] / area).min().sqrt() == pytest.approx(0.7, abs=0.07)
    rotated = centres(transforms.apply(*blobs(256), settings=only(rotate=30), draws_BD=draws)[1])
    angle = torch.rad2deg(torch.atan2(rotated[2], rotated[1]) - torch.atan2(y, x))
    angle = (angle + 180) % 360 - 180
    assert angle.abs().max() == pytest.approx(30, abs=6)
    torch.testing.assert_close(rotated[1].hypot(rotated[2]), x.hypot(y), atol=0.4, rtol=0)


def test_the_border_is_filled_by_reflection_in_image_and_mask() -> None:
    masks = torch.zeros(64, 16, 16)
    masks[:, :, :8] = 1
    images = masks[:, None].expand(-1, 3, -1, -1)
    moved, moved_masks = transforms.augment(images, masks, only(shift=0.3), seeded())
    assert moved_masks is not None
    assert (moved_masks[:, :, 0] == 1).all(), "no black corner on the plane's side"
    assert (moved_masks[:, :, -1] == 0).all()
    assert torch.equal(moved[:, 0] >= 0.5, moved_masks.bool())


def test_colour_changes_stay_within_their_factor_and_keep_the_mask() -> None:
    grey = torch.full((200, 3, 4, 4), 0.5)
    images, _ = transforms.augment(grey, None, only(color=0.2), seeded())
    assert images.min() == pytest.approx(0.4, abs=0.01)
    assert images.max() == pytest.approx(0.6, abs=0.01)
    assert (images - images[:, :1]).abs().max() < 1e-6, "grey stays grey whatever the saturation"
    assert torch.equal(augmented(only(color=0.2))[1], blobs()[1])


def test_saturation_spreads_the_channels_by_its_factor() -> None:
    red = torch.tensor([0.7, 0.4, 0.4])[None, :, None, None].expand(300, -1, 4, 4)
    images, _ = transforms.augment(red, None, only(color=0.3), seeded())
    spread = (images[:, 0] - images[:, 1])[:, 0, 0] / 0.3
    assert spread.min() > 0.7**3
    assert spread.max() < 1.3**3
    assert spread.std() > 0.15


def test_noise_has_the_deviation_asked_for() -> None:
    images, _ = transforms.augment(torch.full((8, 3, 32, 32), 0.5), None, only(noise=0.1), seeded())
    assert images.std() == pytest.approx(0.1, rel=0.05)
    assert images.mean() == pytest.approx(0.5, abs=0.01)
    assert not torch.equal(images[0], images[1])


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_half_of_the_images_lose_a_rectangle_of_the_share_asked_for(share: float) -> None:
    full = torch.ones(400, 64, 64)
    images, masks = transforms.augment(torch.ones(400, 3, 64, 64), full, only(erase=share), seeded())
    erased = images[:, 0] == transforms.GREY
    hit = erased.flatten(1).any(1)
    assert hit.float().mean() == pytest.approx(0.5, abs=0.08)
    areas = erased[hit].float().mean((1, 2))
    assert areas.mean() == pytest.approx(share, rel=0.05)
    assert areas.std() < share * 0.15
    sides = erased[hit].any(2).sum(1) / erased[hit].any(1).sum(1)
    assert sides.log().abs().max() <= math.log(2) + 0.15
    assert masks is full, "what is hidden is still to be found"


def test_two_strengths_share_every_other_draw() -> None:
    weak, strong = only(flips=True, erase=0.1), only(flips=True, erase=0.1, color=0.3)
    assert torch.equal(augmented(weak)[1], augmented(strong)[1])
    assert torch.equal(augmented(weak)[0] == 0.5, (augmented(weak)[0] == 0.5) & (augmented(strong)[0] == 0.5))


def test_columns_that_came_later_leave_the_first_as_they_were() -> None:
    assert torch.equal(
        transforms.draw(7, seeded(4))[:, :14], torch.rand(7, 14, dtype=torch.float64, generator=seeded(4))
    )


@pytest.mark.parametrize("name", NEW)
def test_a_new_setting_changes_pictures_keeps_the_input_and_stays_in_range(name: str) -> None:
    images, masks = blobs()
    out, out_masks = transforms.augment(images, masks, NEW[name], seeded())
    without = Augment() if NEW[name].rotate else OFF
    assert out_masks is not None
    assert not torch.equal(out, transforms.augment(images, masks, without, seeded())[0])
    assert torch.equal(images, blobs()[0])
    assert torch.equal(masks, blobs()[1])
    assert 0 <= out.min() <= out.max() <= 1
    assert set(out_masks.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("settings", [only(blur=0.3), only(edges=1), only(morphology=1)], ids=str)
def test_what_looks_at_neighbours_leaves_the_mask(settings: Augment) -> None:
    images, masks = blobs()
    assert transforms.augment(images, masks, settings, seeded())[1] is masks


def test_a_slant_moves_a_row_by_the_tangent_of_its_angle() -> None:
    images = torch.zeros(200, 3, 32, 32)
    images[:, :, :, 15:17] = 1
    slanted, _ = transforms.augment(images, None, only(shear=30), seeded())
    place = torch.arange(32.0)

    def at(row: int) -> Tensor:
        return (slanted[:, 0, row] * place).sum(1) / slanted[:, 0, row].sum(1)

    tangent = (at(22) - at(10)) / 12
    assert tangent.abs().max() == pytest.approx(math.tan(math.radians(30)), abs=0.03)
    assert tangent.abs().min() < 0.05


@pytest.mark.parametrize(("side", "smoothness"), [(24, 0.08), (64, 0.05), (32, 0.2)])
def test_elastic_moves_have_the_deviation_and_the_smoothness_asked_for(side: int, smoothness: float) -> None:
    seeds = torch.rand(64, dtype=torch.float64, generator=seeded())
    moves_BHW2 = warping.elastic(seeds, smoothness, torch.empty(64, 3, side, side))
    assert moves_BHW2.std() == pytest.approx(1, rel=0.1)
    assert moves_BHW2.mean() == pytest.approx(0, abs=0.15)
    # The correlation of Gaussian-smoothed noise at distance d is exp(-d^2 / 4 sigma^2).
    distance = round(smoothness * side)
    near = (moves_BHW2 * moves_BHW2.roll(distance, 1)).mean() / moves_BHW2.square().mean()
    assert near == pytest.approx(math.exp(-((distance / (smoothness * side)) ** 2) / 4), abs=0.1)


def test_elastic_pixels_move_by_the_share_of_the_side_asked_for() -> None:
    ramp = (torch.arange(64.0) / 64).expand(64, 3, 64, 64)
    moved, _ = transforms.augment(ramp, None, only(elastic=0.02), seeded())
    assert (moved - ramp)[:, 0, :, 12:-12].std() == pytest.approx(0.02, rel=0.15)
