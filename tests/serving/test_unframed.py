"""A mask of what the model saw comes back onto the picture, whatever the picture went through before."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_planes.datasets.crops import Seen
from raytune_planes.datasets.framing import Framing
from raytune_planes.scenes.grid import planes
from raytune_planes.serving.unframed import unframed

WIDTH, HEIGHT = 180, 120
BOX = (75, 45, 105, 75)
"""Within what every framing shows."""


def seen_mask(framing: Framing, seen: Seen, decoded: int) -> np.ndarray:
    """The mask of a picture with one object, as evaluation shows it."""
    inside_HW = np.zeros((HEIGHT, WIDTH), bool)
    inside_HW[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    return seen.masks(framing.mask(inside_HW, decoded)[None])[0].astype(np.float32)


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize(("size", "decoded", "share"), [(60, 60, 1.0), (60, 80, 1.0), (60, 80, 0.75), (32, 96, 0.8)])
def test_the_object_is_found_where_it_lies_in_the_picture(fit: str, size: int, decoded: int, share: float) -> None:
    framing, seen = Framing(fit), Seen(size, share)  # type: ignore[arg-type]
    mask_HW = unframed(seen_mask(framing, seen, decoded), framing, seen, decoded, WIDTH, HEIGHT)
    ((found, _),) = planes(mask_HW, WIDTH, HEIGHT, size)
    pixel = max(WIDTH / mask_HW.shape[1], HEIGHT / mask_HW.shape[0])
    assert np.abs(np.subtract(found, BOX)).max() <= 1.01 * pixel


def test_a_mask_of_all_of_a_stretched_picture_stays_as_it_is() -> None:
    mask_SS = np.random.default_rng(0).random((16, 16), np.float32)
    assert unframed(mask_SS, Framing(), Seen(16), 32, WIDTH, HEIGHT) is mask_SS


def test_what_the_model_did_not_see_is_no_plane() -> None:
    mask_HW = unframed(np.ones((40, 40), np.float32), Framing("crop"), Seen(), 40, WIDTH, HEIGHT)
    assert mask_HW.shape == (40, 60)
    assert mask_HW[:, 11:49].min() == 1
    assert mask_HW[:, :9].max() == mask_HW[:, 51:].max() == 0


def test_padding_is_cut_off() -> None:
    mask_SS = np.zeros((60, 60), np.float32)
    mask_SS[10:50] = 1  # the picture; 10 rows of padding on each side
    mask_HW = unframed(mask_SS, Framing("pad"), Seen(), 60, WIDTH, HEIGHT)
    assert mask_HW.shape == (40, 60)
    assert mask_HW.min() == 1
