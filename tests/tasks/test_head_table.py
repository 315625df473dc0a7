"""What holds for every head of the table."""

from __future__ import annotations

import typing

import pytest
import torch

from raytune_planes.config import Head
from raytune_planes.tasks.classification.implementation import HEADS


def test_the_table_holds_what_the_settings_offer_and_no_more() -> None:
    assert set(HEADS) == set(typing.get_args(Head.model_fields["kind"].annotation))


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(3, 3), (8, 5)])
def test_a_head_gives_a_logit_per_class_for_every_size_of_grid(kind: str, depth: int, height: int, width: int) -> None:
    head = HEADS[kind](10, 7, Head(depth=depth, width=16))
    logits_BK = head(torch.randn(3, 10), torch.randn(3, 10, height, width))
    assert logits_BK.shape == (3, 7)
    assert head.margin >= 0


@pytest.mark.parametrize("kind", sorted(set(HEADS) - {"linear"}))
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_a_head_has_the_hidden_layers_asked_for(kind: str, depth: int) -> None:
    head = HEADS[kind](10, 7, Head(depth=depth, width=16))
    assert [m.out_features for m in head.modules() if isinstance(m, torch.nn.Linear)][:depth] == [16] * depth
    assert sum(isinstance(m, torch.nn.GELU) for m in head.modules()) == depth


@pytest.mark.parametrize("kind", HEADS)
def test_gradients_reach_every_parameter_of_a_head(kind: str) -> None:
    head = HEADS[kind](10, 7, Head(depth=1, width=16))
    head(torch.randn(3, 10), torch.randn(3, 10, 4, 4)).square().mean().backward()
    assert not [name for name, p in head.named_parameters() if p.grad is None or not p.grad.abs().sum()]


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("depth", [0, 1])
def test_dropout_acts_in_training_only(kind: str, depth: int) -> None:
    head = HEADS[kind](10, 7, Head(depth=depth, width=64, dropout=0.5))
    inputs = torch.randn(3, 10), torch.randn(3, 10, 4, 4)
    assert not torch.equal(head(*inputs), head(*inputs))
    head.eval()
    assert torch.equal(head(*inputs), head(*inputs))
