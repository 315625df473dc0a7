"""Training with parts of the encoder for each dataset: resumed, started from other sharing, stored and served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from raytune_planes.errors import UserError
from raytune_planes.serving import Predictor
from raytune_planes.training import checkpoint
from raytune_planes.training.start import begin_with, take
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import INFOS, toy_config, toy_data, toy_prompts
from tests.training.test_left_out import config as pretrained_config
from tests.training.test_loop import Recorder, run

ONLY_FGVC = {"datasets__planesnet__enabled": False, "datasets__hrplanes__enabled": False}
SMALL: dict[str, Any] = {"model__backbone__kind": "timm/mobilenetv3_small_050"}


def a_trainer(sharing: str, **settings: Any) -> Trainer:
    config = toy_config(model__sharing=sharing, **{"seed": 5, **settings})
    return Trainer(config, toy_data(), toy_prompts(), LocalWorker("cpu"))


def weights(sharing: str, **settings: Any) -> dict[str, Tensor]:
    """Of a model that has learnt a little."""
    trainer = a_trainer(sharing, seed=3, **settings)
    trainer.begin()
    trainer.train_epoch([name for name in INFOS if name in trainer.data])
    return {name: w.clone() for name, w in trainer.model.state_dict().items()}


@pytest.mark.parametrize("sharing", ["adapters", "stage", "own"])
def test_a_resumed_training_goes_on_bit_for_bit_and_its_best_epoch_answers_with_the_right_part(
    tmp_path: Path, sharing: str
) -> None:
    settings: dict[str, Any] = {"model__sharing": sharing, "budget__epochs": 4, "optim__ema": 0.5}
    config = toy_config(**settings, stopping__rule="none")
    whole, first, second = Recorder(), Recorder(tmp_path, stop_after=2), Recorder(tmp_path)
    run(config, whole)
    run(config, first)
    run(config, second, resume=tmp_path / "last.pt")
    assert first.metrics + second.metrics == whole.metrics
    predictor, data = Predictor.load(tmp_path / "best.pt"), toy_data()
    made = Trainer(config, data, toy_prompts(), LocalWorker("cpu"))
    kept = checkpoint.load(tmp_path / "best.pt")
    made.use(kept["weights"])
    metrics = made.evaluate("val")
    assert metrics == {key: kept["metrics"][key] for key in metrics}
    for name, arrays in data.items():
        pixels = torch.from_numpy(arrays.images_NHWC[arrays.splits["val"]].copy()).permute(0, 3, 1, 2)
        said = predictor.outputs(name, pixels)["classification"].logits_BK
        torch.testing.assert_close(said, torch.cat(made._evaluation._rows[1][name]))


def test_copies_begin_with_the_weights_of_a_shared_trunk() -> None:
    theirs, trainer = weights("trunk"), a_trainer("stage")
    told = take(trainer.model, theirs, "start = trunk.pt")
    mine = trainer.model.state_dict()
    assert mine.keys() > {"own.fgvc.stages.2.0.first.0.weight", "backbone.stem.0.weight"}
    for name, w in mine.items():
        shared = ".".join(["backbone", *name.split(".")[2:]]) if name.startswith("own.") else name
        assert torch.equal(w, theirs[shared]), name
    copied = ", ".join(f"own.{name} from backbone" for name in sorted(INFOS))
    assert told == f"{len(mine)} of the model's {len(mine)} weights are from start = trunk.pt; copied to {copied}"


def test_adapters_are_fresh_beside_the_weights_of_a_shared_trunk() -> None:
    trainer = a_trainer("adapters")
    told = take(trainer.model, weights("trunk"), "start = trunk.pt")
    assert told.endswith("; fresh in adapters.fgvc, adapters.hrplanes, adapters.planesnet")


def test_a_model_of_one_dataset_takes_what_was_that_datasets_own() -> None:
    for sharing in ("stage", "own"):
        theirs, trainer = weights(sharing), a_trainer("trunk", **ONLY_FGVC)
        told = take(trainer.model, theirs, "start = joint.pt")
        mine = trainer.model.state_dict()
        for name, w in mine.items():
            own = name.replace("backbone.", "own.fgvc.", 1)
            assert torch.equal(w, theirs[own if own in theirs else name]), name
        assert "copied to backbone from own.fgvc" in told
        assert "own.hrplanes, own.planesnet" in told.partition("unused from ")[2]


def test_a_shared_trunk_cannot_begin_with_three_backbones_and_says_why(tmp_path: Path) -> None:
    checkpoint.save({"weights": weights("own")}, tmp_path / "own.pt")
    with pytest.raises(UserError, match=r"start = .*own\.pt: each of its datasets has a backbone of its own.*=own, or"):
        begin_with(a_trainer("trunk").model, tmp_path / "own.pt")


def test_where_each_had_a_last_stage_the_shared_one_is_fresh_and_said() -> None:
    trainer = a_trainer("trunk")
    drawn = {name: w.clone() for name, w in trainer.model.state_dict().items()}
    told = take(trainer.model, weights("stage"), "start = stage.pt")
    mine = trainer.model.state_dict()
    kept = {name for name in mine if torch.equal(mine[name], drawn[name])}
    assert {name for name in mine if name.startswith("backbone.stages.2.")} <= kept
    assert "; fresh in backbone; unused from own.fgvc, own.hrplanes, own.planesnet" in told


def test_adapters_learn_from_the_stored_features_of_a_frozen_encoder() -> None:
    more = {**SMALL, "model__backbone__freeze": True, "model__backbone__views": 1}
    told: list[str] = []
    trainer = a_trainer("adapters", **more)
    trainer.begin(told.append)
    assert set(trainer.model.stored) == set(INFOS)
    assert not told
    before = {name: w.clone() for name, w in trainer.model.state_dict().items()}
    trainer.train_epoch(["fgvc"])
    after = trainer.model.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    adapters = {".".join(name.split(".")[:2]) for name in moved if name.startswith("adapters.")}
    assert adapters == {"adapters.fgvc"}
    assert not [name for name in moved if name.startswith("backbone.net.")]


@pytest.mark.parametrize(
    ("sharing", "more", "why"),
    [
        ("stage", {**SMALL, "model__backbone__freeze": True}, "model.sharing = stage trains the last stage"),
        (
            "adapters",
            {"freeze": "backbone"},
            "model.sharing = adapters changes the maps between the stages of residual",
        ),
    ],
)
def test_features_that_are_of_one_dataset_are_computed_afresh_and_said(
    sharing: str, more: dict[str, Any], why: str
) -> None:
    told: list[str] = []
    trainer = a_trainer(sharing, model__backbone__views=1, **more)
    trainer.begin(told.append)
    assert not trainer.model.stored
    assert told == [f"{n}: features of the frozen encoder are computed afresh in every step: {why}" for n in INFOS]


def test_a_checkpoint_holds_all_of_a_frozen_encoder_whose_last_stage_is_trained(tmp_path: Path) -> None:
    config = pretrained_config(tmp_path, model__sharing="stage", budget__epochs=1)
    run(config, Recorder(tmp_path))
    assert "frozen" not in checkpoint.load(tmp_path / "best.pt", whole=False)
    theirs = torch.load(tmp_path / "net.pth", weights_only=True)
    kept = checkpoint.load(tmp_path / "best.pt")["weights"]
    shared = {name.removeprefix("backbone.net.") for name in kept if name.startswith("backbone.net.")}
    own = {name.removeprefix("own.fgvc.net.") for name in kept if name.startswith("own.fgvc.")}
    assert shared | own <= theirs.keys()
    assert all(torch.equal(kept[f"backbone.net.{name}"], theirs[name]) for name in shared)
    assert any(not torch.equal(kept[f"own.fgvc.net.{name}"], theirs[name]) for name in own)
    assert Predictor.load(tmp_path / "best.pt")
