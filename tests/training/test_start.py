"""A training begins with the weights of a checkpoint, and what is frozen keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from raytune_planes.config import FREEZABLE
from raytune_planes.errors import UserError
from raytune_planes.records import EpochRecord
from raytune_planes.training import checkpoint
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.training.loop import train
from raytune_planes.training.start import attributes, begin_with, weights_of
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import toy_config, toy_data, toy_prompts
from tests.training.test_loop import GOAL, Recorder, run

ONLY_FGVC = {"datasets__planesnet__enabled": False, "datasets__hrplanes__enabled": False}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained")
    run(toy_config(budget__epochs=1), Recorder(folder))
    return folder / "best.pt"


def a_trainer(**settings: object) -> Trainer:
    return Trainer(toy_config(**settings), toy_data(), toy_prompts(), LocalWorker())


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_every_weight_of_equal_name_and_shape_is_taken_and_the_others_are_named(pretrained: Path) -> None:
    trainer = a_trainer(**ONLY_FGVC, datasets__fgvc__head__width=24, seed=5)
    drawn = {name: w.clone() for name, w in trainer.model.state_dict().items()}
    told = begin_with(trainer.model, pretrained)
    stored, now = weights_of(pretrained), trainer.model.state_dict()
    taken = {name for name in now if name in stored and torch.equal(now[name], stored[name])}
    other = {name for name in now if not name.startswith("heads.fgvc.")}
    assert other <= taken
    assert changed(drawn, now) & {name for name in now if stored[name].shape != now[name].shape} == set()
    assert told.startswith(f"{len([n for n in now if stored[n].shape == now[n].shape])} of the model's ")
    assert "fresh in heads.fgvc; unused from" in told
    assert "heads.planesnet" in told


def test_a_training_that_starts_from_a_checkpoint_says_which_and_trains_on_from_it(pretrained: Path) -> None:
    notes: list[str] = []
    seen = Recorder()
    config = toy_config(start=str(pretrained), optim__lr=1e-9, optim__weight_decay=0.0, budget__epochs=1)
    train(config, toy_data(), toy_prompts(), GOAL, report=seen, say=notes.append)
    stored = checkpoint.load(pretrained)["metrics"]
    assert str(pretrained) in notes[0]
    assert seen.metrics[0]["val/fgvc/classification_loss"] == pytest.approx(
        stored["val/fgvc/classification_loss"], rel=1e-4
    )


@pytest.mark.parametrize("part", FREEZABLE)
def test_a_frozen_part_keeps_every_weight_and_the_others_move(part: str, pretrained: Path) -> None:
    kept: list[Checkpoint] = []

    def keep(_: EpochRecord, state: Checkpoint) -> None:
        kept.append(state)

    config = toy_config(start=str(pretrained), freeze=part, budget__epochs=1, optim__ema=0.5)
    train(config, toy_data(), toy_prompts(), GOAL, report=keep)
    moved = changed(weights_of(pretrained), dict(kept[0].state["model"]))
    parts = attributes(a_trainer().model)
    assert not [name for name in moved if name.split(".")[0] in parts[part]]
    for other in set(FREEZABLE) - {part}:
        assert [name for name in moved if name.split(".")[0] in parts[other]], f"{other} did not learn"


def test_freezing_all_that_a_dataset_trains_leaves_it_measured() -> None:
    idle = {"losses__classification__weight": 0.0, "losses__contrastive__weight": 0.0}
    trainer = a_trainer(freeze="backbone, dit, projection, heads", **idle)
    trainer.begin()
    before = {name: w.clone() for name, w in trainer.model.state_dict().items()}
    metrics = trainer.train_epoch(["fgvc", "hrplanes"])
    assert metrics["train/fgvc/images"] == 8
    assert {name.split(".")[0] for name in changed(before, trainer.model.state_dict())} == {"decoder"}


def test_a_resumed_training_asks_for_its_start_no_more(tmp_path: Path, pretrained: Path) -> None:
    start = tmp_path / "start.pt"
    start.write_bytes(pretrained.read_bytes())
    config = toy_config(start=str(start), freeze="backbone", stopping__rule="none")
    whole, first, second = Recorder(), Recorder(tmp_path, stop_after=1), Recorder()
    run(config, whole)
    run(config, first)
    start.unlink()
    run(config, second, resume=tmp_path / "last.pt")
    assert first.metrics + second.metrics == whole.metrics


def test_the_parts_that_can_be_frozen_are_the_whole_model() -> None:
    every = a_trainer(losses__reconstruction__weight=1.0, losses__detection__weight=1.0).model
    named = {name.split(".")[0] for name, _ in every.named_parameters()}
    parts = attributes(every)
    assert tuple(parts) == FREEZABLE
    assert named == {attribute for part in parts.values() for attribute in part}


def test_a_start_of_no_use_is_refused(tmp_path: Path, pretrained: Path) -> None:
    with pytest.raises(UserError, match="start: no checkpoint at .*nowhere.pt"):
        run(toy_config(start=str(tmp_path / "nowhere.pt")), Recorder())
    (tmp_path / "text.pt").write_text("weights")
    with pytest.raises(UserError, match=r"start: .*text.pt is not a checkpoint of raytune-planes"):
        run(toy_config(start=str(tmp_path / "text.pt")), Recorder())
    checkpoint.save({"epoch": 1}, tmp_path / "empty.pt")
    with pytest.raises(UserError, match="start: .*empty.pt holds no weights of a model"):
        run(toy_config(start=str(tmp_path / "empty.pt")), Recorder())
    with pytest.raises(UserError, match="its backbone does not have the names and shapes .* give model.backbone"):
        run(toy_config(start=str(pretrained), model__backbone__width=16), Recorder())


def test_a_part_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"freeze: no part 'bakbone'; did you mean 'backbone'\? \(there are: backbone"):
        toy_config(freeze="heads, bakbone")
    with pytest.raises(UserError, match="leaves nothing to train; take out at least one part"):
        toy_config(freeze=", ".join(FREEZABLE))
