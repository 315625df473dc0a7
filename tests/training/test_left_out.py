"""Checkpoints of a model with a frozen pretrained encoder: its weights are named, not held, and put back when read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from raytune_planes.config import TrialConfig
from raytune_planes.errors import UserError
from raytune_planes.records import EpochRecord
from raytune_planes.serving import Predictor
from raytune_planes.training import checkpoint, left_out
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.training.loop import train
from raytune_planes.training.start import weights_of
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import toy_config, toy_data, toy_prompts
from tests.training.test_loop import GOAL

KIND = "mobilenetv3_small_050"


def config(folder: Path, **more: Any) -> TrialConfig:
    file = folder / "net.pth"
    if not file.is_file():
        torch.save(timm.create_model(KIND).state_dict(), file)
    own = {"model__backbone__kind": f"timm/{KIND}", "model__backbone__weights": str(file)}
    return toy_config(**{**own, "model__backbone__freeze": True, "budget__epochs": 2, "optim__ema": 0.5, **more})


def trained(folder: Path, of: TrialConfig, resume: Path | None = None) -> list[EpochRecord]:
    """Train; ``first.pt`` is the state after one epoch."""
    seen: list[EpochRecord] = []

    def report(record: EpochRecord, kept: Checkpoint) -> None:
        seen.append(record)
        kept.save(folder)
        if record.epoch == 1:
            (folder / "first.pt").write_bytes((folder / "last.pt").read_bytes())

    train(of, toy_data(), toy_prompts(), GOAL, resume=resume, report=report)
    return seen


@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_a_checkpoint_holds_no_weight_of_a_frozen_encoder_and_reads_as_if_it_did(tmp_path: Path, name: str) -> None:
    of = config(tmp_path)
    trained(tmp_path, of)
    raw = checkpoint.load(tmp_path / name, whole=False)
    room = "weights" if name == "best.pt" else "model"
    assert not [key for key in raw[room] if key.startswith("backbone.net.")]
    assert not [key for key in raw.get("average", {}).get("shadow", {}) if key.startswith("backbone.net.")]
    theirs = torch.load(tmp_path / "net.pth", weights_only=True)
    whole = weights_of(tmp_path / name)
    net = {key.removeprefix("backbone.net."): w for key, w in whole.items() if key.startswith("backbone.net.")}
    assert net
    assert all(torch.equal(w, theirs[key]) for key, w in net.items())
    assert whole.keys() == Trainer(of, toy_data(), toy_prompts(), LocalWorker("cpu")).model.state_dict().keys()
    full = config(tmp_path, model__backbone__freeze=False)
    (tmp_path / "full").mkdir()
    trained(tmp_path / "full", full)
    assert (tmp_path / name).stat().st_size < (tmp_path / "full" / name).stat().st_size / 2


def test_a_training_goes_on_from_such_a_checkpoint_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    of = config(tmp_path)
    whole = trained(tmp_path, of)
    again = trained(tmp_path, of, resume=tmp_path / "first.pt")
    assert [r.epoch for r in again] == [2]
    assert again[-1].metrics == whole[-1].metrics


def test_a_predictor_reads_such_a_checkpoint(tmp_path: Path) -> None:
    of, data = config(tmp_path), toy_data()
    trained(tmp_path, of)
    made = Trainer(of, data, toy_prompts(), LocalWorker("cpu"))
    made.use(checkpoint.load(tmp_path / "best.pt")["weights"])
    pixels = torch.from_numpy(data["fgvc"].images_NHWC[:4].copy()).permute(0, 3, 1, 2)
    predictor = Predictor.load(tmp_path / "best.pt")
    theirs, mine = predictor.model.state_dict(), made.model.state_dict()
    assert all(torch.equal(theirs[key], mine[key]) for key in mine)
    assert predictor.predict("fgvc", pixels)


def test_weights_that_are_gone_are_named_with_what_to_do(tmp_path: Path) -> None:
    trained(tmp_path, config(tmp_path))
    (tmp_path / "net.pth").unlink()
    with pytest.raises(
        UserError,
        match=r"best.pt names the weights of its frozen encoder and does not hold them .*net.pth.* is no file",
    ):
        checkpoint.load(tmp_path / "best.pt")


def test_weights_that_are_others_by_now_are_refused(tmp_path: Path) -> None:
    trained(tmp_path, config(tmp_path))
    torch.manual_seed(99)
    torch.save(timm.create_model(KIND).state_dict(), tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"best.pt names .* gives others by now \([0-9a-f]{8}\.\.\.\); put those back"):
        checkpoint.load(tmp_path / "best.pt")


def test_an_encoder_that_other_weights_have_taken_the_place_of_is_held_whole(tmp_path: Path) -> None:
    made = Trainer(config(tmp_path), toy_data(), toy_prompts(), LocalWorker("cpu"))
    with torch.no_grad():
        made.model.backbone.net.conv_stem.weight.add_(1)  # type: ignore[union-attr,operator]
    state = made.state_dict(0.0)
    assert "frozen" not in state
    assert state["model"].keys() == made.model.state_dict().keys()


def test_a_frozen_encoder_is_hashed_once_until_it_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed, digest = list[str](), left_out.digest

    def counted(tensors: Mapping[str, Tensor]) -> str:
        hashed.append(digest(tensors))
        return hashed[-1]

    monkeypatch.setattr(left_out, "digest", counted)
    made = Trainer(config(tmp_path), toy_data(), toy_prompts(), LocalWorker("cpu"))
    for _ in range(2):
        made.train_epoch(["planesnet"])
        assert made.state_dict(0.0)["frozen"]["sha256"] == hashed[0]
    assert len(hashed) == 1
    other = {name: w + 1 for name, w in made.model.state_dict().items()}
    for changed in (other, made.model.state_dict()):
        made.model.load_state_dict(changed)
        assert "frozen" not in made.state_dict(0.0)
        assert "frozen" not in made.state_dict(0.0)
    assert len(hashed) == 3
    assert len(set(hashed)) == 2


def test_what_is_random_is_held_whole(tmp_path: Path) -> None:
    made = Trainer(config(tmp_path, model__backbone__weights="random"), toy_data(), toy_prompts(), LocalWorker("cpu"))
    assert made.state_dict(0.0)["model"].keys() == made.model.state_dict().keys()
