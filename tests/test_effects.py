"""Settings of early stopping that a budget leaves no room for are named before a study."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from raytune_planes.config import Stop, cautions
from raytune_planes.records import EpochRecord, Goal, Objective
from raytune_planes.settings import Value, make_config
from raytune_planes.space import Dimension, Space, cautioned
from raytune_planes.space.effects import is_of_stopping
from raytune_planes.training.evidence_stopping import make_stopping
from raytune_planes.training.loop import run_epoch
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import INFOS, toy_config, toy_data, toy_prompts

RATE = Dimension("optim.lr", "float", 1e-4, 1e-2, log=True)
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
    assert decided == [stop.earliest_rest(plateau, epochs)]


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


PATIENCES = tuple(f"datasets.{name}.stop.patience" for name in ("planesnet", "hrplanes", "fgvc"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"budget.epochs": 3}, "can rest in none of 3 epochs"),
        ({"budget.epochs": 5}, "can rest after epoch 4 of 5 at"),
        ({"budget.epochs": 6, **dict.fromkeys(PATIENCES, 9)}, "in none of 6 epochs at the earliest; budget.epochs=12"),
        (
            {"plan": "a, b", "stages.a.budget.epochs": 2, "stages.b.budget.epochs": 12},
            "stages.a.stopping.rule = stop_and_go decides after each",
        ),
    ],
)
def test_epochs_too_long_for_early_stopping_to_act_in_time_are_named_with_shorter_ones(
    settings: dict[str, Value], told: str
) -> None:
    fixed = {"budget.epochs": 12, "budget.steps_per_epoch": 2520, **settings}
    (caution,) = cautions(make_config(fixed))
    assert told in caution
    assert "epochs of 2,520 steps are long for that" in caution
    assert cautioned(Space("mine", "", GOAL, fixed, (RATE,))) == (caution,)
    advised = {path: int(value) for path, value in re.findall(r"([\w.]*budget\.\w+)=(\d+)", caution)}
    shorter = make_config({**fixed, **advised})
    assert cautions(shorter) == ()
    assert shorter.samples == make_config(fixed).samples


def test_epochs_that_are_short_or_leave_time_to_decide_are_not_named() -> None:
    assert cautions(make_config({"budget.epochs": 3, "budget.steps_per_epoch": 60})) == ()
    assert cautions(make_config({"budget.epochs": 12, "budget.steps_per_epoch": 2520})) == ()
    assert cautions(make_config({"budget.epochs": 3, "budget.steps_per_epoch": 2520, "stopping.rule": "none"})) == ()
    searched = Dimension("budget.epochs", "choice", choices=(3, 12))
    (caution,) = cautioned(Space("mine", "", GOAL, {"budget.steps_per_epoch": 2520}, (searched,)))
    assert "none of 3 epochs" in caution


EVEN = {"share": 1.0, "head__dropout": 0.0}


def test_an_epoch_in_parts_trains_the_same_and_decides_after_each() -> None:
    """So ``budget.steps_per_epoch`` is all that decisions within a long epoch ask for."""

    def trained(epochs: int, steps: int) -> tuple[dict[str, Tensor], list[EpochRecord]]:
        # Even shares come in the same order; what dropout draws would be of the epoch.
        same = {f"datasets__{name}__{key}": value for name in INFOS for key, value in EVEN.items()}
        config = toy_config(budget__epochs=epochs, budget__steps_per_epoch=steps, stopping__rule="none", **same)
        trainer = Trainer(config, toy_data(), toy_prompts(), LocalWorker("cpu"))
        trainer.begin()
        records = [run_epoch(trainer, GOAL) for _ in range(epochs)]
        return trainer.weights(), records

    (weights, records), (same, often) = trained(1, 12), trained(4, 3)
    assert [each.samples for each in often] == [24, 48, 72, 96]
    assert all("val/fgvc/accuracy" in each.metrics for each in often)
    assert records[-1].samples == 96
    for name, weight in weights.items():
        torch.testing.assert_close(same[name], weight)
