"""Averaged weights, and gradients of several batches: what is validated, kept, and gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from raytune_planes.errors import UserError
from raytune_planes.records import End
from raytune_planes.training.average import Average
from raytune_planes.training.checkpoint import load
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import toy_config, toy_data, toy_prompts
from tests.training.test_loop import Recorder, run


def trainer(**settings: Any) -> Trainer:
    return Trainer(toy_config(**settings), toy_data(), toy_prompts(), LocalWorker())


def weights(of: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in of.model.named_parameters()}


def test_the_average_follows_its_formula() -> None:
    model = nn.Linear(1, 1, bias=False)
    average, expected = Average(model, 0.5), model.weight.item()
    for t, value in enumerate((1.0, 4.0, -2.0)):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update()
        decay = min(0.5, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * value
        with average.in_place():
            assert model.weight.item() == pytest.approx(expected)
        assert model.weight.item() == value


def test_without_a_decay_nothing_is_kept() -> None:
    model = nn.Linear(1, 1)
    average = Average(model, 0.0)
    average.update()
    assert average.state_dict() == {"updates": 0, "shadow": {}}


def test_validation_and_the_kept_weights_are_those_of_the_average(tmp_path: Path) -> None:
    settings = {"optim__ema": 0.9, "budget__epochs": 2, "stopping__rule": "none", "optim__schedule": "constant"}
    seen = Recorder(tmp_path)
    run(toy_config(**settings), seen)
    state = load(tmp_path / "best.pt")
    raw, averaged = load(tmp_path / "last.pt")["model"], load(tmp_path / "last.pt")["average"]["shadow"]
    assert any(not torch.equal(raw[name], averaged[name]) for name in averaged)
    judge = trainer(**settings)
    judge.use(state["weights"])
    found = judge.evaluate("val")
    best = next(r for r in seen.records if r.epoch == state["epoch"])
    assert {k: best.metrics[k] for k in found} == found
    if best is seen.records[-1]:
        assert all(torch.equal(state["weights"][name], averaged[name]) for name in averaged)


def test_an_average_changes_what_is_validated_but_not_what_is_trained() -> None:
    plain, averaged = trainer(), trainer(optim__ema=0.99)
    for one in (plain, averaged):
        one.train_epoch(("fgvc", "planesnet", "hrplanes"))
    assert all(torch.equal(a, b) for a, b in zip(weights(plain).values(), weights(averaged).values(), strict=True))
    assert plain.evaluate("val") != averaged.evaluate("val")


@pytest.mark.parametrize(
    "settings",
    [
        {"optim__ema": 0.9},
        {"optim__kind": "sgd", "optim__lr": 0.02},
        {"optim__kind": "lion", "optim__lr": 3e-4, "optim__accumulate": 2},
        {"optim__schedule": "plateau", "optim__patience": 1},
        {"optim__schedule": "step", "optim__accumulate": 4, "optim__layer_decay": 0.7},
    ],
    ids=str,
)
def test_each_way_to_optimise_resumes_bit_for_bit(settings: dict[str, Any], tmp_path: Path) -> None:
    config = toy_config(budget__epochs=4, stopping__rule="none", **settings)
    whole, first, second = Recorder(), Recorder(tmp_path, stop_after=2), Recorder()
    run(config, whole)
    run(config, first)
    assert run(config, second, resume=tmp_path / "last.pt")[0] is End.COMPLETED
    assert first.metrics + second.metrics == whole.metrics


def test_the_gradients_of_several_batches_are_averaged() -> None:
    """One move of SGD without momentum by two batches is the mean of the moves by each alone."""
    settings = {"optim__kind": "sgd", "optim__momentum": 0.0, "optim__clip": 0.0, "optim__weight_decay": 0.0}
    settings |= {"optim__warmup": 0.0, "optim__schedule": "constant", "losses__contrastive__weight": 0.0}
    settings |= {f"datasets__{name}__head__dropout": 0.0 for name in ("planesnet", "hrplanes", "fgvc")}
    both, first, second = trainer(**settings, optim__accumulate=2), trainer(**settings), trainer(**settings)
    start = weights(both)
    both.train_epoch(("fgvc", "hrplanes"))
    first.train_epoch(("fgvc",))
    second.train_epoch(("hrplanes",))
    moved, one, other = weights(both), weights(first), weights(second)
    for name, before in start.items():
        expected = before + ((one[name] - before) + (other[name] - before)) / 2
        torch.testing.assert_close(moved[name], expected, rtol=1e-4, atol=1e-7)
    assert any(not torch.equal(moved[name], start[name]) for name in start)


def test_batches_are_counted_however_seldom_the_weights_move() -> None:
    one = trainer(optim__accumulate=4)
    one.train_epoch(("fgvc",) * 6)
    assert one.step == 6
    steps = {float(s["step"]) for s in one.optimizer.state_dict()["state"].values()}
    assert steps == {2.0}, "four batches, then the two that are left"


def test_famo_refuses_to_wait_for_several_batches() -> None:
    with pytest.raises(UserError, match=r"optim\.accumulate = 2 is not supported; set it to 1 or choose another rule"):
        toy_config(balancing__rule="famo", optim__accumulate=2)
