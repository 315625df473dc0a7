"""Ctrl-C while a study is about to start: from the moment that it exists, the command that continues it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.cli import main
from raytune_planes.datasets.synthetic import synthesise

SPACE = """
objectives: [val/planesnet/accuracy]
fixed: {budget.epochs: 1, budget.steps_per_epoch: 1, datasets.hrplanes.enabled: false, datasets.fgvc.enabled: false}
search: {optim.lr: {float: [1e-4, 1e-2], log: true}}
"""


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_study_that_is_interrupted_while_ray_starts_or_its_data_are_read_says_how_it_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    synthesise(tmp_path / "data", planesnet=40, hrplanes=0, fgvc=0, fgvc_classes=2, seed=0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", "local")
    monkeypatch.setattr("ray.init", interrupted)
    (tmp_path / "tiny.yaml").write_text(SPACE)
    words = ("tune", "tiny.yaml", "--data=data", "--cache=cache", "--learn-from=none", "--name=night", "--out=mine")
    with monkeypatch.context() as early:
        early.setattr("raytune_planes.commands.study_run.prepare", interrupted)
        assert main(list(words)) == 130
    assert "--resume" not in "".join(capsys.readouterr()), "there is no study yet"
    assert main(list(words)) == 130
    assert "Continue it with: raytune-planes tune --resume night --out mine\n" in capsys.readouterr().out
    monkeypatch.setattr("raytune_planes.commands.study_run.prepare", interrupted)
    assert main(["tune", "--resume", "night", "--out=mine"]) == 130
    assert "Continue it with: raytune-planes tune --resume night --out mine\n" in capsys.readouterr().out
