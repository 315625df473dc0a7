"""Settings of early stopping that a budget leaves no room for are named before a study."""

from __future__ import annotations

import pytest

from raytune_planes.config import Stop
from raytune_planes.records import Goal, Objective
from raytune_planes.settings import Value, make_config
from raytune_planes.space import Dimension, Space, cautioned
from raytune_planes.space.effects import earliest_rest, is_of_stopping
from raytune_planes.training.evidence_stopping import make_stopping

RULE = Dimension("stopping.rule", "choice", choices=("none", "stop"))
PATIENCE = Dimension("datasets.fgvc.stop.patience", "int", 2, 8, when={"stopping.rule": ("stop",)})
GOAL = Goal((Objective("val/fgvc/accuracy"),))


@pytest.mark.parametrize("epochs", [12, 20])
@pytest.mark.parametrize("plateau", ["epochs", "evidence"])
@pytest.mark.parametrize(
    "stop",
    [
        Stop(),
        Stop(patience=1, min_epochs=1),
        Stop(patience=6, min_epochs=0.1),
        Stop(patience=0.3, min_epochs=0.5),
        Stop(patience=9, target=0.4),
    ],
)
def test_the_earliest_rest_is_the_one_of_a_dataset_that_learns_nothing(stop: Stop, plateau: str, epochs: int) -> None:
    config = make_config({"stopping.rule": "stop", "stopping.plateau": plateau, "budget.epochs": epochs})
    config = config.model_copy(update={"datasets": {"fgvc": config.datasets["fgvc"].model_copy(update={"stop": stop})}})
    stopping = make_stopping(config, {"fgvc": "val/fgvc/accuracy"}, lambda resting: {"fgvc": 1.0})
    metrics = {"val/fgvc/accuracy": 0.5, "val/fgvc/images": 1e9}
    decided = [epoch for epoch in range(1, epochs + 1) if stopping.update(epoch, metrics)]
    assert decided == [earliest_rest(stop, plateau, epochs)]


def space(epochs: int, *search: Dimension, **fixed: Value) -> Space:
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


def test_a_confidence_that_no_trial_reads_is_named() -> None:
    confidence = Dimension("datasets.fgvc.stop.confidence", "float", 0.6, 0.95)
    plateau = Dimension("stopping.plateau", "choice", choices=("epochs", "evidence"))
    assert cautioned(space(12, confidence, **{"stopping.plateau": "epochs"})) == (
        "datasets.fgvc.stop.confidence is searched without effect: only stopping.plateau 'evidence' reads it, "
        "and no trial has that",
    )
    assert cautioned(space(12, confidence, plateau)) == ()
    assert cautioned(space(12, confidence)) == ()


def test_stages_have_settings_of_stopping_too() -> None:
    assert is_of_stopping("stages.last.datasets.fgvc.stop.patience")
    assert is_of_stopping("stopping.freed")
    assert not is_of_stopping("optim.patience")
    assert not is_of_stopping("datasets.fgvc.head.depth")
