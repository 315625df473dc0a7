"""An encoder is compiled when it is asked for, or when what is left of the training repays it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from torch import nn

from raytune_planes.training.compiling import COST_S, SAVED, Compiling, repays
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import toy_config, toy_data, toy_prompts

README = Path(__file__).resolve().parents[2] / "cluster" / "README.md"


class Counted(nn.Module):
    """Notes how often it is to be compiled: what torch makes of it is torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def compile(self, *args: object, **kwargs: object) -> None:
        self.times += 1


def test_what_is_left_must_repay_the_compilation() -> None:
    assert repays(seconds=COST_S / SAVED / 10 + 0.1, epochs_left=10)
    assert not repays(seconds=COST_S / SAVED / 10 - 0.1, epochs_left=10)
    assert not repays(seconds=1e6, epochs_left=0)


def test_people_are_told_what_is_assumed() -> None:
    assert f"Assumed are {COST_S:.0f} s to compile, and {SAVED:.0%} of".replace("%", " %") in README.read_text("utf-8")


@pytest.mark.parametrize(
    ("setting", "device", "at_once", "when_it_repays"),
    [("no", "cuda", 0, 0), ("auto", "cuda", 0, 1), ("auto", "cpu", 0, 0), ("yes", "cuda", 1, 1), ("yes", "cpu", 1, 1)],
)
def test_the_setting_decides_when(setting: str, device: str, at_once: int, when_it_repays: int) -> None:
    encoder = Counted()
    compiling = Compiling(encoder, setting, device)
    assert encoder.times == at_once
    compiling.after_epoch(1.0, epochs_left=5)
    assert encoder.times == at_once, "five seconds repay nothing"
    for left in (2, 1):
        compiling.after_epoch(2 * COST_S / SAVED, epochs_left=left)
    assert encoder.times == when_it_repays, "once"


def test_a_trainer_passes_its_encoder_and_weights_keep_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: asked.append(cast(nn.Module, module)))
    plain, compiled = (
        Trainer(toy_config(devices__compile=setting), toy_data(), toy_prompts(), LocalWorker())
        for setting in ("no", "yes")
    )
    assert asked == [compiled.model.backbone]
    assert plain.model.state_dict().keys() == compiled.model.state_dict().keys()
