"""Transformer blocks over the grid."""

from __future__ import annotations

import pytest
import torch

from raytune_planes.model.dit import Refinement, positions


@pytest.mark.parametrize("channels", [8, 30, 96])
def test_every_place_of_a_grid_has_its_own_position(channels: int) -> None:
    places_ND = positions(5, 7, channels)
    assert places_ND.shape == (35, channels)
    assert torch.cdist(places_ND, places_ND).fill_diagonal_(9.0).min() > 0.1


def test_positions_are_sines_and_cosines_of_row_and_column() -> None:
    place_D = positions(4, 5, 8)[2 * 5 + 3]  # row 2, column 3; two frequencies: 1 and 1/100
    at = torch.tensor([2, 0.02, 3, 0.03])
    expected = torch.cat([at[:2].sin(), at[:2].cos(), at[2:].sin(), at[2:].cos()])
    torch.testing.assert_close(place_D, expected)


def test_fresh_blocks_leave_the_map_as_it_is() -> None:
    map_BCHW = torch.randn(2, 16, 3, 5)
    torch.testing.assert_close(Refinement(16, 2, 4)(map_BCHW, torch.randn(16)), map_BCHW, rtol=1e-5, atol=1e-5)


def test_no_blocks_return_the_map_itself() -> None:
    map_BCHW = torch.randn(2, 16, 3, 5)
    assert Refinement(16, 0, 4)(map_BCHW, torch.randn(16)) is map_BCHW


def test_trained_blocks_mix_places_and_heed_the_dataset() -> None:
    refinement = Refinement(16, 1, 4)
    torch.nn.init.normal_(refinement.blocks[0].modulation.weight, std=0.5)
    map_BCHW, condition_C = torch.randn(1, 16, 4, 4), torch.randn(16)
    before = refinement(map_BCHW, condition_C)
    touched = map_BCHW.clone()
    touched[..., 0, 0] += 3 * torch.randn(16)
    assert (refinement(touched, condition_C) - before)[..., 3, 3].abs().max() > 1e-4
    assert (refinement(map_BCHW, -condition_C) - before).abs().max() > 1e-2


def test_heads_that_do_not_divide_are_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="3 heads do not divide 16"):
        Refinement(16, 1, 3)
