"""What another package brings is listed, checked, learnt, tuned and told; a broken one stops nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

PACKAGE = Path(__file__).parent / "shades"
POINTS = {
    "datasets": {"shades": "shades:DATASET"},
    "tasks": {"brightness": "shades:TASK"},
    "backbones": {"squares": "shades:BACKBONE"},
    "trackers": {"lines": "shades.telling:Lines"},
}
SPACE = """
objectives: [{metric: val/shades/brightness_within}]
floors: {val/shades/accuracy: 0.01}
fixed:
  datasets.shades.enabled: true
  datasets.planesnet.enabled: false
  datasets.hrplanes.enabled: false
  datasets.fgvc.enabled: false
  budget.epochs: 2
  budget.steps_per_epoch: 30
  budget.batch_size: 16
  model.backbone.width: 8
  model.dit.heads: 2
  stopping.rule: none
search:
  losses.brightness.weight: {float: [0.5, 2.0]}
  losses.brightness.within: {float: [0.1, 0.5]}
study: {rungs: {enabled: false}}
"""


def install(site: Path, name: str, points: Mapping[str, Mapping[str, str]]) -> None:
    """What an installer leaves of a distribution that has only entry points."""
    about = site / f"{name}-1.5.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    groups = (
        f"[raytune_planes.{k}]\n" + "".join(f"{n} = {v}\n" for n, v in rows.items()) for k, rows in points.items()
    )
    (about / "entry_points.txt").write_text("\n".join(groups))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder for packages, with ``shades`` installed in it."""
    folder = tmp_path / "site"
    shutil.copytree(PACKAGE, folder / "shades", ignore=shutil.ignore_patterns("__pycache__"))
    install(folder, "shades", POINTS)
    return folder


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The folder that commands run in: a space, and 64 pictures of all levels of grey."""
    (tmp_path / "mine.yaml").write_text(SPACE)
    (tmp_path / "data" / "shades").mkdir(parents=True)
    for grey in range(0, 256, 4):
        pixels = np.random.default_rng(grey).integers(max(0, grey - 9), min(255, grey + 9), (16, 16, 1), dtype=np.uint8)
        Image.fromarray(pixels.repeat(3, 2)).save(tmp_path / "data" / "shades" / f"{grey}.png")
    return tmp_path


def run(here: Path, site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``raytune-planes`` where the packages in ``site`` are installed."""
    environment = {**os.environ, "PYTHONPATH": str(site), "XDG_CACHE_HOME": str(here / "cache")}
    whole = [sys.executable, "-P", "-m", "raytune_planes", *words]
    return subprocess.run(whole, cwd=here, env=environment, capture_output=True, text=True, check=False, timeout=400)


def command(here: Path, site: Path, *words: str) -> tuple[str, str]:
    """Output and errors of a command that must succeed."""
    done = run(here, site, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


def small() -> list[str]:
    """What the space fixes, as options."""
    fixed = SPACE.split("fixed:")[1].split("search:")[0].split("\n")
    return [f"--set={line.strip().replace(': ', '=')}" for line in fixed if line.strip()]


def test_installed_plugins_are_listed_with_their_package(here: Path, site: Path) -> None:
    printed, errors = command(here, site, "plugins", "--json")
    rows = [(p["kind"], p["name"], p["value"], p["package"], p["version"], p["left_out"]) for p in json.loads(printed)]
    assert rows == [(k, n, v, "shades", "1.5", "") for k, points in POINTS.items() for n, v in points.items()]
    assert errors == ""


def test_a_group_of_entry_points_that_nothing_reads_is_named(here: Path, site: Path) -> None:
    install(site, "hasty", {"dataset": {"more": "shades:DATASET"}})
    printed, errors = command(here, site, "plugins", "--json")
    wrong = "raytune-planes: group raytune_planes.dataset of the package hasty is not read"
    assert errors == f"{wrong}; did you mean 'raytune_planes.datasets'?\n"
    assert {p["package"] for p in json.loads(printed)} == {"shades"}


def test_a_space_may_search_and_aim_at_what_a_plugin_brings(here: Path, site: Path) -> None:
    printed, _ = command(here, site, "check", "mine.yaml")
    assert "goal: max val/shades/brightness_within; keep val/shades/accuracy >= 0.01" in printed
    assert "losses.brightness.weight" in printed
    assert "0.5 .. 2" in printed or "[0.5, 2" in printed
    reference, _ = command(here, site, "settings", "losses.brightness")
    assert "How near an answer must be to count" in reference


@pytest.mark.parametrize("first", ["shades", "raytune_planes.catalog", "raytune_planes.tasks", "raytune_planes.config"])
def test_one_module_may_bring_a_dataset_and_a_task_whichever_module_is_imported_first(site: Path, first: str) -> None:
    code = f"import {first}\nfrom raytune_planes.settings import make_config\nimport raytune_planes.catalog as c\n"
    code += "print(make_config().losses.brightness.within, c.CATALOG['shades'].folder, dict(c.CATALOG.left_out))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("0.25 shades {}\n", "")


@pytest.mark.slow
def test_a_plugins_task_is_learnt_on_a_plugins_dataset(here: Path, site: Path) -> None:
    last = {}
    for weight in (1, 0):
        own = (f"--out={weight}", f"--set=losses.brightness.weight={weight}", "--set=losses.brightness.within=0.5")
        command(here, site, "train", "--data=data", *small(), *own)
        epochs = (here / str(weight) / "epochs.jsonl").read_text().splitlines()
        last[weight] = json.loads(epochs[-1])["metrics"]
    assert last[1]["val/shades/brightness_loss"] < 0.25
    assert last[0]["val/shades/brightness_loss"] > 0.5
    assert last[1]["val/shades/brightness_within"] > 0.75 > last[0]["val/shades/brightness_within"]
    assert last[1]["val/shades/brightness_error"] < 0.35 < last[0]["val/shades/brightness_error"]


@pytest.mark.slow
def test_a_plugins_backbone_is_trained_and_answers(here: Path, site: Path) -> None:
    own = ["--set=model.backbone.kind=squares", "--set=model.backbone.freeze=true", "--set=budget.steps_per_epoch=4"]
    command(here, site, "train", "--data=data", "--only=shades", "--out=run", *small(), *own)
    weights = torch.load(here / "run" / "best.pt", weights_only=True)["weights"]
    assert {k: tuple(w.shape) for k, w in weights.items() if k.startswith("backbone.")} == {
        f"backbone.steps.{i}.{part}": shape
        for i, (below, own) in enumerate([(3, 8), (8, 16), (16, 32)])
        for part, shape in (("weight", (own, below, 2, 2)), ("bias", (own,)))
    }
    printed, _ = command(here, site, "predict", "run/best.pt", "data/shades/252.png", "--json")
    assert {row["label"] for row in json.loads(printed)[0]["labels"]} == {"dark", "light"}


def test_a_backbone_that_no_plugin_brings_is_refused_with_the_names_there_are(here: Path, site: Path) -> None:
    done = run(here, site, "train", "--data=data", "--set=model.backbone.kind=squarez")
    assert done.returncode == 2
    assert "no encoder 'squarez'; did you mean 'squares'? (there are: residual, resnet18," in done.stderr
    assert "dinov2, squares, and timm/NAME)" in done.stderr


@pytest.mark.slow
def test_a_plugins_tracker_hears_a_study_and_one_that_cannot_be_made_stops_nothing(here: Path, site: Path) -> None:
    install(site, "locked", {"trackers": {"board": "shades.telling:locked"}})
    told = "--set=budget.steps_per_epoch=2"
    printed, errors = command(here, site, "tune", "mine.yaml", "--data=data", "--trials=1", "--name=first", told)
    lines = (here / "results" / "lines.txt").read_text().splitlines()
    assert lines == ["study first", "trial 0", "epoch 1", "epoch 2", "trial 0 completed", "study completed"]
    assert "the tracker board is left out of this study: no key for the board" in errors
    assert "val/shades/brightness_within" in printed


def test_broken_plugins_are_left_out_with_the_reason_and_stop_nothing(here: Path, site: Path) -> None:
    (site / "crashing.py").write_text("raise OSError('no licence')\n")
    (site / "greedy.py").write_text(
        "from raytune_planes.tasks.base import Task, TaskSettings\n"
        "class Needs(TaskSettings):\n    rate: float\n    '''No default.'''\n"
        "NEEDS = Task('needs', Needs, 'greedy:Nothing')\n"
    )
    broken = {
        "datasets": {"absent": "no_such_module:ENTRY", "planesnet": "shades:DATASET", "wrong": "shades:TASK"},
        "tasks": {"crashing": "crashing:TASK", "misnamed": "shades:TASK", "needs": "greedy:NEEDS"},
        "backbones": {"residual": "shades:BACKBONE", "flat": "shades:TASK"},
        "trackers": {"number": "shades.reading:np.pi"},
    }
    install(site, "broken", broken)
    reasons = {
        "datasets/absent": "ModuleNotFoundError: No module named 'no_such_module'",
        "datasets/planesnet": "'planesnet' exists already; the plugin needs another name",
        "datasets/wrong": "is no raytune_planes.catalog.Entry",
        "tasks/crashing": "OSError: no licence",
        "tasks/misnamed": "its task is called 'brightness'; entry point and task must have the same name",
        "tasks/needs": "rate\n  Field required",
        "backbones/residual": "'residual' exists already; the plugin needs another name",
        "backbones/flat": "is no raytune_planes.encoders.Encoder",
        "trackers/number": "3.14159",
    }
    printed, errors = command(here, site, "plugins", "--json")
    left_out = {f"{p['kind']}/{p['name']}": p["left_out"] for p in json.loads(printed) if p["package"] == "broken"}
    assert left_out.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert reason in left_out[name]
        assert f"plugin {name} of the package broken is left out: " in errors
    assert "usage: raytune-planes" in command(here, site, "--help")[0]
    printed, errors = command(here, site, "check", "mine.yaml")
    assert "losses.brightness.weight" in printed
    assert errors.count("is left out") == 8  # trackers are no business of a check
