"""A dataset, a task, a backbone or a tracker costs one file and one line, a search dimension one line."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FILES = Path(__file__).parent / "files"
SHADES = ROOT / "tests" / "plugins" / "shades"
"""A package of plugins: what it brings by entry points is added here as files of the project."""


class Addition(NamedTuple):
    """What is added to a copy of the project: a whole file, and a line after another one."""

    what: str
    source: Path
    """Holds the content of ``file``."""
    file: str
    table: str
    after: str
    line: str


ADDITIONS = (
    Addition(
        "a dataset",
        SHADES / "reading.py",
        "raytune_planes/datasets/greys.py",
        "raytune_planes/catalog.py",
        '        "image_folder": ',
        '        "greys": Entry("raytune_planes.datasets.greys:Shades", "greys", {"image_size": 16}, "accuracy"),',
    ),
    Addition(
        "a task with its own head, loss, metric and figure",
        FILES / "task.py",
        "raytune_planes/tasks/brightness.py",
        "raytune_planes/tasks/__init__.py",
        '        "detection": ',
        '        "brightness": "raytune_planes.tasks.brightness:TASK",',
    ),
    Addition(
        "a backbone",
        SHADES / "seeing.py",
        "raytune_planes/model/squares.py",
        "raytune_planes/encoders.py",
        '        "residual": ',
        '        "squares": Encoder("raytune_planes.model.squares:Squares"),',
    ),
    Addition(
        "a tracker",
        SHADES / "telling.py",
        "raytune_planes/tracking/lines.py",
        "raytune_planes/tracking/base.py",
        '        # "mine": ',
        '        "lines": "raytune_planes.tracking.lines:Lines",',
    ),
)
DIMENSION = Addition(
    "a search dimension",
    FILES / "dimension.yaml",
    "",
    "mine.yaml",
    "search:",
    "  losses.brightness.weight: {float: [0.5, 2.0]}",
)


def insert(path: Path, after: str, line: str) -> None:
    lines = path.read_text().splitlines()
    (at,) = (n for n, text in enumerate(lines) if text.startswith(after))
    path.write_text("\n".join([*lines[: at + 1], line, *lines[at + 1 :]]) + "\n")


def touched(before: Path, after: Path) -> dict[str, tuple[int, int]]:
    """Files of ``after`` that differ from ``before`` -> lines added and removed; (0, 0) stands for a new file."""
    found = {}
    for path in sorted(p for p in after.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        name = path.relative_to(after).as_posix()
        if not (before / name).exists():
            found[name] = (0, 0)
        elif path.read_bytes() != (before / name).read_bytes():
            old, new = (p.read_text().splitlines() for p in (before / name, path))
            marks = [line[0] for line in difflib.ndiff(old, new)]
            found[name] = (marks.count("+"), marks.count("-"))
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, in which every addition has been made and found to cost one file and one line."""
    copy = tmp_path_factory.mktemp("project")
    for folder in ("raytune_planes", "search_spaces", "cluster"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for addition in ADDITIONS:
        before = touched(ROOT, copy)
        shutil.copy(addition.source, copy / addition.file)
        insert(copy / addition.table, addition.after, addition.line)
        now = {name: cost for name, cost in touched(ROOT, copy).items() if name not in before}
        assert now == {addition.file: (0, 0), addition.table: (1, 0)}
    shutil.copy(DIMENSION.source, copy / DIMENSION.table)
    insert(copy / DIMENSION.table, DIMENSION.after, DIMENSION.line)
    (copy / "data" / "greys").mkdir(parents=True)
    for grey in range(0, 256, 8):
        pixels = np.random.default_rng(grey).integers(max(0, grey - 9), min(255, grey + 9), (16, 16, 1), dtype=np.uint8)
        Image.fromarray(pixels.repeat(3, 2)).save(copy / "data" / "greys" / f"{grey}.png")
    return copy


def python(project: Path, *words: str) -> str:
    """Output of the interpreter where the copy is the package; it must succeed."""
    environment = {**os.environ, "PYTHONPATH": str(project), "XDG_CACHE_HOME": str(project / "cache")}
    done = subprocess.run(
        [sys.executable, "-P", *words], cwd=project, env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def command(project: Path, *words: str) -> str:
    return python(project, "-m", "raytune_planes", *words)


def test_a_space_is_checked_against_the_additions_without_importing_torch(project: Path) -> None:
    code = (
        "import sys\nfrom raytune_planes.cli import main\nmain(['check', 'mine.yaml'])\nprint('torch' in sys.modules)"
    )
    *checked, torch_was_imported = python(project, "-c", code).splitlines()
    assert "goal: max val/greys/brightness_within" in "\n".join(checked)
    assert any(line.split()[0] == "losses.brightness.weight" for line in checked if line.strip())
    assert torch_was_imported == "False"
    assert "How near an answer must be to count" in command(project, "settings", "losses.brightness")


@pytest.mark.slow
def test_a_study_trains_measures_tracks_and_draws_with_all_additions(project: Path) -> None:
    command(project, "tune", "mine.yaml", "--data=data", "--trials=2", "--name=first")
    trials = sorted((project / "results" / "first" / "trials").iterdir())
    epochs = [json.loads(line) for line in (trials[0] / "epochs.jsonl").read_text().splitlines()]
    for epoch in epochs:
        assert 0 <= epoch["metrics"]["val/greys/brightness_within"] <= 1
        assert epoch["metrics"]["val/greys/brightness_loss"] > 0
        assert epoch["metrics"]["val/greys/accuracy"] * 6 == pytest.approx(
            round(epoch["metrics"]["val/greys/accuracy"] * 6)
        )
    weights = torch.load(trials[0] / "best.pt", weights_only=True)["weights"]
    assert weights["backbone.steps.2.weight"].shape == (32, 16, 2, 2)
    assert weights["meter.weight"].shape == (1, 32)
    lines = (project / "results" / "lines.txt").read_text().splitlines()
    assert (lines[0], lines[-1]) == ("study first", "study completed")
    assert {"trial 0 completed", "trial 1 completed"} <= set(lines)
    with Image.open(project / "results" / "plots" / "first" / "brightness.png") as drawn:
        pixels_HWC = np.asarray(drawn.convert("RGB"))
    assert (pixels_HWC.std((0, 1)) > 10).all()  # bars on white, no empty page
    assert "Brightness told well enough" in (project / "results" / "plots" / "first" / "report.md").read_text()


def test_the_page_says_what_an_addition_costs() -> None:
    page = (ROOT / "raytune_planes" / "README.md").read_text(encoding="utf-8")
    section = page.partition("## I want to add")[2]
    rows = re.findall(r"^\| (a .+?) \| (.+?) \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    expected: list[tuple[str, ...]] = [
        (a.what, f"`{Path(*Path(a.file).parts[1:-1]).as_posix()}/mine.py`",
         f"`{Path(*Path(a.table).parts[1:]).as_posix()}`, 1 line", "1 file, 0 lines")
        for a in ADDITIONS
    ]  # fmt: skip
    expected.append((DIMENSION.what, "none", "the space file, 1 line", "the same"))
    assert [row for row in rows if row[0] in [e[0] for e in expected]] == expected
