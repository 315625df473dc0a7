"""What is detached follows from all weights, and a term that trains nothing is refused before training."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raytune_planes.errors import UserError
from raytune_planes.tasks.contrastive.implementation import Contrastive
from raytune_planes.tasks.implementation import Case
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import toy_config, toy_data, toy_prompts
from tests.training.test_loop import Recorder, run

ALONE = {
    "losses__classification__weight": 0.0,
    "losses__segmentation__weight": 0.0,
    "losses__contrastive__weight": 1.0,
}


def a_trainer(**settings: object) -> Trainer:
    return Trainer(toy_config(**settings), toy_data(), toy_prompts(), LocalWorker())


def entropy(_: Contrastive, answer: object, case: Case) -> Tensor:
    """A new loss that reads the classifier's logits, as entropy minimisation does (Grandvalet & Bengio 2004)."""
    return torch.distributions.Categorical(logits=case.outputs["classification"].logits_BK).entropy().mean()


def accuracy(_: Contrastive, answer: object, case: Case) -> Tensor:
    """A measure that somebody took for a loss: no gradient comes from it."""
    return (case.outputs["classification"].logits_BK.argmax(1) == case.batch.label_B).float().mean()


def moved(trainer: Trainer) -> set[str]:
    before = {name: w.clone() for name, w in trainer.model.state_dict().items()}
    trainer.begin()
    trainer.train_epoch(["fgvc", "hrplanes", "fgvc"])
    after = trainer.model.state_dict()
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


def test_answers_that_no_weighted_term_reads_are_measured_only() -> None:
    trainer = a_trainer(losses__contrastive__weight=0.0, datasets__planesnet__weight=0.0)
    trainer.begin()
    assert trainer.model.measured_only == {
        "planesnet": ("classification", "contrastive"),
        "hrplanes": ("contrastive",),
        "fgvc": ("contrastive",),
    }


def test_a_new_loss_on_logits_trains_their_head_without_the_classification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Contrastive, "loss", entropy)
    trainer = a_trainer(**ALONE)
    assert "heads" in moved(trainer)
    assert trainer.model.measured_only["fgvc"] == ("contrastive",)


@pytest.mark.parametrize("rule", ["fixed", "uncertainty"])  # one whose own weights learn would train those alone
def test_a_weighted_term_without_a_gradient_is_refused_before_training(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Contrastive, "loss", accuracy)
    told = "losses.contrastive.weight for fgvc, hrplanes, planesnet: what they compute is detached from the model's"
    seen = Recorder()
    with pytest.raises(UserError, match=told):
        run(toy_config(balancing__rule=rule), seen)
    assert seen.metrics == []


def test_a_term_all_of_whose_parts_are_frozen_is_refused_until_its_weight_is_zero() -> None:
    frozen = "backbone, dit, projection, heads"
    told = (
        r"losses.classification.weight for fgvc, hrplanes, planesnet; losses.contrastive.weight for .*: "
        rf"freeze = '{frozen}' holds all .*; take a part out of freeze, "
        "or set losses.classification.weight, losses.contrastive.weight to 0"
    )
    with pytest.raises(UserError, match=told):
        a_trainer(freeze=frozen).begin()
    idle = {"losses__classification__weight": 0.0, "losses__contrastive__weight": 0.0}
    assert moved(a_trainer(freeze=frozen, **idle)) == {"decoder"}


def test_looking_for_gradients_draws_nothing_and_changes_no_weight() -> None:
    one, two = a_trainer(), a_trainer()
    one.begin()
    assert all(torch.equal(w, two.model.state_dict()[name]) for name, w in one.model.state_dict().items())
    assert all(p.grad is None for p in one.model.parameters())
    assert one.train_epoch(["fgvc", "planesnet"]) == two.train_epoch(["fgvc", "planesnet"])
