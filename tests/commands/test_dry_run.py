"""``tune --dry-run``: what a study would do, and what it would cost, without starting it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.cli import main
from raytune_planes.commands import data_estimate
from raytune_planes.commands.dry_run import samples_of, trained_share
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.space import RungSettings, load_space

SMALL = ["model.backbone.width=8", "model.dit.heads=2", "model.decoder.width=4", "budget.batch_size=4"]
SPACE = """
about: Which rate?
objectives: [val/fgvc/accuracy]
search: {optim.lr: {float: [0.001, 0.01]}}
study: {trials: 9, rungs: {grace: 0.25, reduction: 3}}
"""


@pytest.mark.parametrize(
    ("rungs", "share"),
    [
        (RungSettings(grace=0.25, reduction=3), 1 / 4 + 1 / 3 * 1 / 2 + 1 / 9 * 1 / 4),
        (RungSettings(grace=0.5, reduction=4), 1 / 2 + 1 / 4 * 1 / 2),
        (RungSettings(grace=1.0), 1.0),
        (RungSettings(enabled=False), 1.0),
    ],
)
def test_rungs_leave_this_share_of_the_training(rungs: RungSettings, share: float) -> None:
    assert trained_share(rungs) == pytest.approx(share)


def test_the_samples_of_a_study_count_references_and_the_final_training_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SPACE)
    space = load_space(path)
    settings = space.study.model_copy(update={"final": 0})
    least, most = samples_of(space, settings, 100, references=True)
    assert (least, most) == (pytest.approx(100 + 8 * 100 * 4 / 9 + 100), 1000)
    limited = settings.model_copy(update={"samples": 300})
    assert samples_of(space, limited, 100, references=False) == (300, 300)
    longer = settings.model_copy(update={"final": 24})
    config = {"budget.epochs": 12, "budget.steps_per_epoch": 10, "budget.batch_size": 4}
    long_space = replace(space, fixed=config)
    assert samples_of(long_space, longer, 480, references=False)[1] == 9 * 480 + 2 * 24 * 10 * 4


def test_a_dry_run_tells_what_is_varied_and_what_it_costs_and_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_estimate, "SECONDS", 0.0)
    synthesise(tmp_path / "data", planesnet=24, hrplanes=0, fgvc=12, fgvc_classes=2, seed=0)
    (tmp_path / "mine.yaml").write_text(SPACE)
    words = [
        "tune",
        str(tmp_path / "mine.yaml"),
        "--dry-run",
        "--data",
        str(tmp_path / "data"),
        "--only",
        "planesnet,fgvc",
    ]
    given = [part for setting in SMALL for part in ("--set", setting)]
    out = tmp_path / "results"
    assert main([*words, *given, "--out", str(out), "--final", "0", "--concurrent", "1", "--trials", "7"]) == 0
    said = capsys.readouterr().out
    assert "optim.lr" in said.split("1 dimension:")[1].splitlines()[2]
    assert "resources: 1 CPU for each trial; on this machine 1 trial at once" in said
    assert "time: about " in said
    assert "\nends after: 7 trials\n" in said, "the command line's limit, not the space's"
    size = r"\(([\d.]+) MiB\) of 4 trials, 3 more of them, and 1 trial at once, each with a state of ([\d.]+) MiB"
    found = re.search(rf"disk: up to ([\d.]+) MiB of checkpoints: the weights {size}", said)
    assert found, "the three best and the defaults; two datasets alone and the version in the registry"
    total, weights, state = map(float, found.groups())
    assert total == pytest.approx(8 * weights + 2 * state, abs=0.6)
    assert state == pytest.approx(3 * weights, abs=0.2)
    order = ["resources: ", "Measuring: ", "planesnet: ", "fgvc: ", "training: ", "model: ", "time: ", "disk: "]
    assert sorted(order, key=said.index) == order, "what is known without measuring comes first"
    assert said.endswith("Nothing was started; leave out --dry-run to start it\n")
    assert not out.exists()


def test_what_a_dry_run_tells_first_needs_neither_torch_nor_ray() -> None:
    code = "import sys, raytune_planes.commands.dry_run; print({'torch', 'ray', 'pandas'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
