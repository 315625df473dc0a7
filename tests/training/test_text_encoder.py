"""A text encoder that is trained jointly: what moves, what stays, what a checkpoint holds; a frozen one is free."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from raytune_planes.config import TrialConfig
from raytune_planes.errors import UserError
from raytune_planes.model.bert import encode_prompts
from raytune_planes.model.prompts import ensemble
from raytune_planes.records import End, EpochRecord, Goal, Objective
from raytune_planes.serving.predictor import Predictor
from raytune_planes.training import checkpoint
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.training.loop import StopTrial, train
from raytune_planes.training.text_encoder import text_device
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.berts import tiny_bert
from tests.toy import INFOS, toy_config, toy_data, toy_prompts

GOAL = Goal((Objective("val/fgvc/accuracy"),))
DATA, PROMPTS = toy_data(), toy_prompts(width=32)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # swig types inside the tokenizer's library


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("text") / "bert")


def tuned(bert: Path, **settings: Any) -> TrialConfig:
    return toy_config(**{"text__model": str(bert), "text__freeze": False, "stopping__rule": "none", **settings})


def trainer_of(config: TrialConfig) -> Trainer:
    return Trainer(config, DATA, PROMPTS, LocalWorker())


def encoder_of(trainer: Trainer) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in trainer.model.state_dict().items() if k.startswith("text.")}


def test_a_step_moves_the_encoder_by_its_own_learning_rate_and_the_images_weights_start_as_ever(bert: Path) -> None:
    trainer, frozen = trainer_of(tuned(bert, optim__warmup=0, text__lr_factor=0.1)), trainer_of(toy_config())
    assert all(torch.equal(trainer.model.state_dict()[name], w) for name, w in frozen.model.state_dict().items())
    before = encoder_of(trainer)
    trainer.train_epoch(["fgvc"])
    moved = torch.cat([(after - before[name]).abs().flatten() for name, after in encoder_of(trainer).items()])
    # The first step of Adam is as long as its rate, whatever the gradient; decay adds a thousandth of a weight.
    assert 0.8 < moved.max().item() / (0.1 * trainer.config.optim.lr) < 1.1


def test_only_the_contrastive_term_trains_the_encoder(bert: Path) -> None:
    trainer = trainer_of(tuned(bert, losses__contrastive__weight=0.0))
    before = encoder_of(trainer)
    trainer.train_epoch(["fgvc", "hrplanes"])
    assert all(torch.equal(after, before[name]) for name, after in encoder_of(trainer).items())


def test_validation_measures_the_prompts_of_the_encoder_as_it_is(bert: Path) -> None:
    trainer = trainer_of(tuned(bert))
    trainer.evaluate("val")
    first = trainer.model_state(EpochRecord(0, 0, 0, {}))["prompts"]
    asked = encode_prompts({name: info.prompts for name, info in INFOS.items()}, trainer.config.text)
    for name in INFOS:
        np.testing.assert_allclose(first[name].numpy(), asked[name], atol=1e-5)
    trainer.train_epoch(["fgvc"] * 3)
    trainer.evaluate("val")
    assert (trainer.model_state(EpochRecord(1, 3, 24, {}))["prompts"]["fgvc"] - first["fgvc"]).abs().max() > 1e-6


def test_templates_are_averaged_while_the_encoder_trains_too(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_text("a {class}\na photo of {class}\n")
    trainer = trainer_of(tuned(bert, text__templates=str(tmp_path / "two.txt")))
    flat = [line.format(name) for name in INFOS["fgvc"].classes for line in ("a {}", "a photo of {}")]
    rows = torch.from_numpy(encode_prompts({"fgvc": flat}, trainer.config.text)["fgvc"])
    torch.testing.assert_close(trainer.model.text("fgvc"), ensemble(rows.view(6, 2, -1)), rtol=1e-4, atol=1e-5)


def test_a_resumed_training_goes_on_bit_for_bit_with_its_encoder(bert: Path, tmp_path: Path) -> None:
    config, seen = tuned(bert, budget__epochs=3, budget__steps_per_epoch=4, text__lr_factor=0.5), []

    def report(record: EpochRecord, checkpoint: Checkpoint) -> None:
        seen.append((dict(record.metrics), {k: v.clone() for k, v in checkpoint.state["model"].items()}))
        if len(seen) == 4:  # of the second run
            checkpoint.save(tmp_path)
            raise StopTrial(End.PRUNED, "told to")

    for resume in (None, None, tmp_path / "last.pt"):
        train(config, DATA, PROMPTS, GOAL, resume=resume, report=report)
    whole, parts = seen[:3], seen[3:]
    assert [metrics for metrics, _ in parts] == [metrics for metrics, _ in whole]
    assert all(torch.equal(weight, whole[-1][1][name]) for name, weight in parts[-1][1].items())
    encoder = [name for name in parts[0][1] if name.startswith("text.")]
    assert encoder
    assert any(not torch.equal(parts[0][1][name], parts[-1][1][name]) for name in encoder)


def test_a_trained_model_reads_free_texts_with_the_encoder_it_was_trained_with(bert: Path, tmp_path: Path) -> None:
    config = tuned(bert, budget__epochs=1, text__lr_factor=1.0, optim__lr=0.01)
    train(config, DATA, PROMPTS, GOAL, report=lambda _, checkpoint: checkpoint.save(tmp_path))
    state = checkpoint.load(tmp_path / "best.pt")
    predictor = Predictor(state)
    assert not any(name.startswith("text.") for name in predictor.model.state_dict())
    asked = predictor._embed(INFOS["fgvc"].prompts)
    torch.testing.assert_close(asked, state["prompts"]["fgvc"], rtol=1e-4, atol=1e-5)
    untrained = encode_prompts({"fgvc": INFOS["fgvc"].prompts}, config.text)["fgvc"]
    assert np.abs(asked.numpy() - untrained).max() > 0.01
    other = tiny_bert(tmp_path / "other", width=8)
    with pytest.raises(UserError, match="is another BERT than the one that was trained on"):
        Predictor({**state, "config": {**state["config"], "text.model": str(other)}})._embed(("a plane",))


class Placed(LocalWorker):
    """Of several workers, with its images on a card."""

    world = 2

    def __init__(self) -> None:
        self.device = torch.device("cuda")


def test_several_workers_keep_both_encoders_on_one_kind_of_device() -> None:
    with pytest.raises(UserError, match=r"devices.text = cpu puts the text encoder on cpu and the images are on cuda"):
        text_device("cpu", Placed())
    assert text_device("cpu", LocalWorker()).type == "cpu"
    alone = Placed()
    alone.world = 1
    assert text_device("cpu", alone).type == "cpu"


@pytest.mark.slow
def test_training_with_a_frozen_encoder_never_imports_transformers() -> None:
    code = (
        "import sys\nfrom tests.training.test_text_encoder import *\n"
        "train(toy_config(budget__epochs=1, budget__steps_per_epoch=2), DATA, PROMPTS, GOAL, report=lambda *_: None)\n"
        "assert not {'transformers', 'tokenizers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
