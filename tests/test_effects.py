"""Settings of early stopping that a budget leaves no room for are named before a study."""

from __future__ import annotations

import pytest

from raytune_planes.config import Stop
from raytune_planes.records import Goal, Objective
from raytune_planes.space import Dimension, Space, cautioned
from raytune_planes.space.effects import earliest_rest, is_of_stopping
from raytune_planes.training.stopping import Stopping

RULE = Dimension("stopping.rule", "choice", choices=("none", "stop"))
PATIENCE = Dimension("datasets.fgvc.stop.patience", "int", 2, 8, when={"stopping.rule": ("stop",)})
GOAL = Goal((Objective("val/fgvc/accuracy"),))


@pytest.mark.parametrize(
    "stop", [Stop(), Stop(patience=1, min_epochs=1), Stop(patience=6, min_epochs=2), Stop(patience=9, target=0.4)]
)
def test_the_earliest_rest_is_the_one_of_a_dataset_that_learns_nothing(stop: Stop) -> None:
    stopping = Stopping("stop", {"fgvc": stop}, {"fgvc": "val/fgvc/accuracy"})
    decided = [epoch for epoch in range(1, 20) if stopping.update(epoch, {"val/fgvc/accuracy": 0.5})]
    assert decided == [earliest_rest(stop)]


def space(epochs: int, *search: Dimension, **fixed: int) -> Space:
    return Space("mine", "", GOAL, {"budget.epochs": epochs, **fixed}, search)


def test_a_rule_that_no_trial_lives_long_enough_for_is_named_with_the_way_out() -> None:
    (caution,) = cautioned(space(4, RULE))
    assert caution.startswith(
        "stopping.rule is searched without effect: no dataset can rest before the last of 4 epochs"
    )
    assert "after epoch 4" in caution
    assert "raise budget.epochs" in caution
    assert cautioned(space(5, RULE)) == ()


def test_a_patience_of_one_dataset_is_named_where_others_can_rest() -> None:
    slow = {"datasets.fgvc.stop.min_epochs": 9}
    (caution,) = cautioned(space(8, RULE, PATIENCE, **slow))
    assert caution.startswith("datasets.fgvc.stop.patience is searched without effect: no dataset 'fgvc' can rest")
    assert cautioned(space(10, RULE, PATIENCE, **slow)) == ()


def test_stages_have_settings_of_stopping_too() -> None:
    assert is_of_stopping("stages.last.datasets.fgvc.stop.patience")
    assert is_of_stopping("stopping.freed")
    assert not is_of_stopping("optim.patience")
    assert not is_of_stopping("datasets.fgvc.head.depth")
