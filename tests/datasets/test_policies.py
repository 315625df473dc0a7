"""RandAugment and AutoAugment: each operation beside torchvision's, the lists beside torchvision's, and the draws."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from raytune_planes.config import Policy
from raytune_planes.datasets import policies


def pictures(count: int = 8, side: int = 24) -> Tensor:
    """Whole levels; smooth, so that bilinear sampling and torchvision's agree."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)
    return (smooth.clamp(0, 1) * 255).round()


def theirs(name: str, images: Tensor, level: float) -> Tensor:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional as F

    x, factor = images.to(torch.uint8), 1 + 0.9 * level
    plain: dict[str, Any] = {
        "brightness": lambda: F.adjust_brightness(x, factor),
        "color": lambda: F.adjust_saturation(x, factor),
        "contrast": lambda: F.adjust_contrast(x, factor),
        "sharpness": lambda: F.adjust_sharpness(x, factor),
        "posterize": lambda: F.posterize(x, 8 - round(4 * level)),
        "solarize": lambda: F.solarize(x, 256 * (1 - level)) if level else x,
        "autocontrast": lambda: F.autocontrast(x),
        "equalize": lambda: F.equalize(x),
        "invert": lambda: F.invert(x),
    }
    if name in plain:
        return plain[name]().float()  # type: ignore[no-any-return]
    move: dict[str, Any] = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    slant, far = math.degrees(math.atan(0.3 * level)), round(150 / 331 * images.shape[-1] * level)
    move |= {
        "shear_x": {"shear": [slant, 0.0]},
        "shear_y": {"shear": [0.0, slant]},
        "translate_x": {"translate": [-far, 0]},
        "translate_y": {"translate": [0, -far]},
        "rotate": {"angle": -30.0 * level},
    }[name]
    return F.affine(images, **move, interpolation=InterpolationMode.BILINEAR, fill=[-1e6])


@pytest.mark.parametrize("name", policies.COLOURS)
@pytest.mark.parametrize("level", [0.0, 0.3, 0.7, 1.0, -0.3, -1.0])
def test_a_colour_operation_is_torchvisions_to_a_level(name: str, level: float) -> None:
    if level < 0 and name not in policies.SIGNED:
        pytest.skip("goes one way only")
    images = pictures()
    out = policies.COLOURS[name](images.clone(), torch.full((8, 1, 1, 1), level))
    assert (out - theirs(name, images, level)).abs().max() <= 1
    assert torch.equal(out, out.round())


@pytest.mark.parametrize("name", policies.MOVES)
@pytest.mark.parametrize("level", [0.2, 1.0, -0.7])
def test_a_move_is_torchvisions_where_both_see_the_picture(name: str, level: float) -> None:
    if name.startswith("translate"):
        level = round(150 / 331 * 24 * level) / (150 / 331 * 24)  # whole pixels, as theirs
    images, masks = pictures() / 255, torch.zeros(8, 24, 24)
    policies._change(images, masks, torch.arange(8), torch.full((8,), level, dtype=torch.float64), name)
    expected = theirs(name, pictures(), level)
    seen = expected >= 0
    assert seen.float().mean() > 0.4
    assert ((images * 255)[seen] - expected[seen]).abs().max() < 2


def test_every_image_has_a_strength_of_its_own() -> None:
    images, levels = pictures(), torch.linspace(-1, 1, 8)
    for name in policies.SIGNED:
        if name in policies.COLOURS:
            whole = policies.COLOURS[name](images.clone(), levels[:, None, None, None])
            for row in range(8):
                alone = policies.COLOURS[name](images[row : row + 1].clone(), levels[row].view(1, 1, 1, 1))
                assert torch.equal(whole[row : row + 1], alone), name


def test_the_lists_are_those_of_the_papers_as_torchvision_has_them() -> None:
    from torchvision.transforms import AutoAugmentPolicy
    from torchvision.transforms.v2 import AutoAugment, RandAugment

    def plain(name: str) -> str:
        return name.lower().replace("_", "")

    listed = AutoAugment(AutoAugmentPolicy.IMAGENET)._get_policies(AutoAugmentPolicy.IMAGENET)
    assert len(policies.IMAGENET) == len(listed) == 25
    for pair, other in zip(policies.IMAGENET, listed, strict=True):
        for (name, odds, magnitude), (their_name, their_odds, their_magnitude) in zip(pair, other, strict=True):
            assert (plain(name), odds) == (plain(their_name), their_odds)
            assert their_magnitude in (None, magnitude)
    assert {plain(n) for n in policies.RAND_AUGMENT} == {plain(n) for n in RandAugment._AUGMENTATION_SPACE}
    signed = {plain(n) for n, (_, both_ways) in RandAugment._AUGMENTATION_SPACE.items() if both_ways}
    assert {plain(n) for n in policies.SIGNED} == signed


def draws(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(count, policies.COLUMNS, dtype=torch.float64, generator=generator)


def test_a_share_of_zero_and_a_magnitude_of_zero_without_the_fixed_operations_leave_pictures_as_they_are() -> None:
    images, masks = pictures(64) / 255, (pictures(64)[:, 0] > 127).float()
    untouched = policies.apply(images, masks, Policy(kind="autoaugment", share=0), draws(64))
    assert torch.equal(untouched[0], images)
    assert untouched[1] is not None
    assert torch.equal(untouched[1], masks)
    settings = Policy(kind="randaugment", number=1, magnitude=0)
    out, _ = policies.apply(images, masks, settings, draws(64))
    changed = (out - images).abs().flatten(1).amax(1) > 1.5 / 255
    which = [policies.RAND_AUGMENT[int(p * 14)] for p in draws(64)[:, 1].tolist()]
    assert {name for name, moved in zip(which, changed.tolist(), strict=True) if moved} <= {"autocontrast", "equalize"}
    assert changed.any()


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_share_asked_for_is_treated(share: float) -> None:
    images = pictures(400) / 255
    out, _ = policies.apply(images, None, Policy(kind="randaugment", number=2, magnitude=20, share=share), draws(400))
    treated = (out != images).flatten(1).any(1).float().mean()
    assert treated == pytest.approx(share * (1 - 1 / 14**2), abs=0.06)


def test_rand_augment_draws_its_operations_evenly_and_auto_augment_by_its_odds() -> None:
    table = draws(4000)
    pick, chance = table[:, 1:5], table[:, 5:9]
    names = [*policies.OPERATIONS, "identity"]  # NOTHING is -1
    steps = policies._rand_augment(Policy(kind="randaugment", number=3), pick, chance)
    assert len(steps) == 3
    for which, level in steps:
        counts = Counter(names[i] for i in which.tolist())
        assert set(counts) == set(policies.RAND_AUGMENT)
        assert all(4000 / 14 * 0.75 < n < 4000 / 14 * 1.25 for n in counts.values())
        assert level.unique().tolist() == [9 / 30]
    first, second = policies._auto_augment(Policy(kind="autoaugment"), pick, chance)
    for k, (which, _) in enumerate((first, second)):
        expected = sum(pair[k][1] for pair in policies.IMAGENET) / 25
        assert (which != policies.NOTHING).float().mean() == pytest.approx(expected, abs=0.03)


def test_masks_follow_moves_and_ignore_colours() -> None:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    masks = ((x - 18) ** 2 + (y - 14) ** 2 < 36).float().expand(8, -1, -1)
    levels = torch.linspace(-1, 1, 8, dtype=torch.float64)
    for name in policies.OPERATIONS:
        images, moved = masks[:, None].expand(-1, 3, -1, -1).clone(), masks.clone()
        policies._change(images, moved, torch.arange(8), levels.abs() if name not in policies.SIGNED else levels, name)
        if name in policies.MOVES:
            assert torch.equal(images[:, 0] >= 0.5, moved.bool())
            assert not torch.equal(moved, masks)
        else:
            assert torch.equal(moved, masks), name
