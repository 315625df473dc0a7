"""What people are warned of before a training or a study: settings that are allowed and hardly wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.cli import main
from raytune_planes.config import cautions
from raytune_planes.settings import Value, make_config

RANDOM = {"model.backbone.kind": "resnet18", "model.backbone.freeze": True}
STAGED: dict[str, Value] = {"plan": "one, two", "stages.one.budget.epochs": 1, "stages.two.freeze": "backbone"}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (RANDOM, "model.backbone.freeze"),
        ({"freeze": "backbone, dit"}, "freeze"),
        ({**STAGED, "stages.one.freeze": "backbone"}, "stages.one.freeze"),
    ],
)
def test_a_frozen_encoder_that_nothing_trained_is_warned_of(settings: dict[str, Value], named: str) -> None:
    (told,) = cautions(make_config(settings))
    assert told.startswith(f"{named} keeps an encoder whose weights are random")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"freeze": "dit"},
        {"freeze": "backbone", "start": "best.pt"},
        {**RANDOM, "model.backbone.weights": "net.pth"},
        STAGED,
        {**STAGED, "stages.one.freeze": "backbone", "start": "best.pt"},
    ],
)
def test_a_frozen_encoder_that_has_learnt_is_not_warned_of(settings: dict[str, Value]) -> None:
    assert cautions(make_config(settings)) == ()


SPACE = """
objectives: [val/fgvc/accuracy]
search:
  model.backbone.kind: {choice: [residual, resnet18]}
  model.backbone.freeze: {choice: [false, true], when: {model.backbone.kind: resnet18}}
"""


def test_check_tune_and_train_warn_of_it_in_the_same_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "frozen.yaml").write_text(SPACE)
    space, nowhere = str(tmp_path / "frozen.yaml"), ["--data", str(tmp_path / "nowhere"), "--out", str(tmp_path)]
    words = "Warning: model.backbone.freeze keeps an encoder whose weights are random (model.backbone.kind = resnet18)"
    assert not main(["check", space])
    assert words in capsys.readouterr().out
    assert main(["tune", space, *nowhere]) == 2  # the warning comes before anything is read
    assert words in capsys.readouterr().out
    settings = [part for path, value in RANDOM.items() for part in ("--set", f"{path}={value}".lower())]
    assert main(["train", *settings, *nowhere]) == 2
    assert words in capsys.readouterr().out


def test_no_packaged_space_is_warned_of() -> None:
    from raytune_planes.space import cautioned, load_space, packaged

    assert {name: cautioned(load_space(name)) for name in packaged()} == dict.fromkeys(packaged(), ())
