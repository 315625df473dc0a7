"""What scripts read of a training and of a study: one line with --quiet, an object per event with --json-lines."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.terminal.lines import EVENTS
from raytune_planes.tracking.reading import read_epochs

TINY = {
    **{"datasets.mine.reader": "image_folder", "datasets.mine.image_size": 16, "datasets.mine.head.width": 16},
    **{"model.backbone.width": 8, "model.dit.heads": 2, "model.decoder.width": 4, "stopping.rule": "none"},
    **{"budget.epochs": 2, "budget.steps_per_epoch": 3, "budget.batch_size": 8},
}
SPACE = """
about: Which rate?
objectives: [val/mine/accuracy]
fixed: {{datasets.mine.root: "{root}", datasets.mine.reader: image_folder}}
search: {{optim.lr: {{float: [0.001, 0.01], log: true}}}}
study: {{trials: 2}}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    random = np.random.default_rng(0)
    for level, name in enumerate(("dark", "light")):
        (folder / name).mkdir()
        for n in range(20):
            pixels = random.integers(0, 90, (20, 20, 3)) + 150 * level
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{n}.png")
    return folder


def words(root: Path, tmp_path: Path) -> list[str]:
    own = {"datasets.mine.root": root, **TINY}
    settings = [part for path, value in own.items() for part in ("--set", f"{path}={value}")]
    return [*settings, "--only", "mine", "--cache", str(tmp_path / "cache")]


def events(text: str) -> list[dict[str, Any]]:
    """Every line is an object of one event, with that event's keys."""
    found = [json.loads(line) for line in text.splitlines()]
    for each in found:
        assert set(each) == {"event", *EVENTS[each["event"]]}
    return found


def test_a_training_is_told_as_one_object_per_event(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["train", *words(root, tmp_path), "--out", str(out), "--test", "--json-lines"]) == 0
    captured = capsys.readouterr()
    found = events(captured.out)
    assert [each["event"] for each in found] == ["training", "data", "epoch", "epoch", "result", "end"]
    training, data, first, second, result, end = found
    assert (training["folder"], training["epochs"], training["fold"]) == (str(out), 2, 0)
    assert data["counts"] == {"train": 32, "val": 4, "test": 4}
    assert data["synthetic"] is False
    kept, _ = read_epochs(out / "epochs.jsonl")
    assert [first["metrics"], second["metrics"]] == [dict(each.metrics) for each in kept]
    best = result["result"]
    assert best["metrics"] == found[1 + best["epoch"]]["metrics"]
    assert best["weights"] == str(out / "best.pt")
    assert 0 <= best["test"]["test/mine/accuracy"] <= 1
    assert (end["status"], end["folder"]) == (0, str(out))
    assert "epoch 2/2" in captured.err, "what people read is on standard error"


def test_a_training_has_a_card_beside_its_weights_with_its_figures(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["train", *words(root, tmp_path), "--out", str(out), "--test", "--json-lines"]) == 0
    result = events(capsys.readouterr().out)[-2]["result"]
    text = (out / "MODEL_CARD.md").read_text()
    assert text.startswith("# Model card: training `run`\n")
    assert "| mine | 32 | 4 | 4 | real |" in text
    assert f"| `val/mine/accuracy` | {result['metrics']['val/mine/accuracy']:.4f} | " in text
    of_test = text.partition("On the test split, scored once:")[2]
    assert f"| `test/mine/accuracy` | {result['test']['test/mine/accuracy']:.4f} | " in of_test
    assert "| data: mine | unknown: ask who made it |" in text
    assert "| `budget.epochs` | " in text


def test_every_fold_is_a_training_of_its_own_and_the_last_result_is_over_folds(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["train", *words(root, tmp_path), "--out", str(out), "--folds", "2", "--json-lines"]) == 0
    found = events(capsys.readouterr().out)
    assert [each["fold"] for each in found if each["event"] == "training"] == [1, 2]
    assert [each["fold"] for each in found if each["event"] == "epoch"] == [1, 1, 2, 2]
    *of_folds, over = [each["result"] for each in found if each["event"] == "result"]
    values = [each["metrics"]["val/mine/accuracy"] for each in of_folds]
    assert over["metrics"]["val/mine/accuracy"]["mean"] == pytest.approx(sum(values) / 2)


def test_quiet_prints_the_folder_alone(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", *words(root, tmp_path), "--out", str(out), "--quiet"]) == 0
    assert capsys.readouterr().out == f"{out}\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["train", "--set", "optim.rl=1"], "no setting 'optim.rl'"),
        (["tune", "no-such-space"], "no-such-space"),
        (["tune", "--trials", "none"], "'none' is no whole number"),
        (["train", "--no-such-option"], "no option '--no-such-option'"),
        (["tune", "--dry-run"], "--dry-run starts nothing, so --json-lines has nothing to tell"),
        (["train", "--print-config"], "--print-config starts nothing, so --json-lines has nothing to tell"),
    ],
)
def test_a_mistake_is_an_object_too_and_its_status_is_2(
    command: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main([*command, "--json-lines"])
    except SystemExit as stop:
        status = stop.code  # type: ignore[assignment]
    captured = capsys.readouterr()
    (error,) = events(captured.out)
    assert (status, error["event"], error["status"]) == (2, "error", 2)
    assert message in error["message"]
    assert message in captured.err


def test_without_the_option_a_mistake_prints_nothing_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "no-such-space"]) == 2
    assert capsys.readouterr().out == ""


def test_the_page_for_users_lists_every_event_with_its_keys() -> None:
    page = Path(__file__).resolve().parents[2] / "raytune_planes" / "README.md"
    section = page.read_text(encoding="utf-8").partition("\n## From scripts\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_]+)` \|[^|]*\|([^|]*)\|$", section, re.MULTILINE)
    told = {event: tuple(re.findall(r"`([a-z_]+)`", re.sub(r"\(.*?\)|: of .*", "", keys))) for event, keys in rows}
    assert told == dict(EVENTS)


@pytest.mark.slow
def test_a_study_in_a_process_of_its_own_prints_objects_and_nothing_else(root: Path, tmp_path: Path) -> None:
    space, out = tmp_path / "rate.yaml", tmp_path / "results"
    space.write_text(SPACE.format(root=root))
    line = [sys.executable, "-m", "raytune_planes", "tune", str(space), *words(root, tmp_path), "--no-references"]
    done = subprocess.run(
        [*line, "--out", str(out), "--name", "told", "--no-rungs", "--json-lines"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = events(done.stdout)
    kinds = [each["event"] for each in found if each["event"] != "note"]
    assert kinds[:2] == ["data", "study"]
    assert kinds[-3:] == ["report", "result", "end"]
    assert (kinds.count("trial"), kinds.count("trial_end"), kinds.count("epoch")) == (2, 2, 4)
    ends = {each["trial"]: each for each in found if each["event"] == "trial_end"}
    best = found[-2]["result"]["best"]
    assert best["score"] == pytest.approx(max(each["score"] for each in ends.values()))
    assert best["metrics"] == ends[best["trial"]]["metrics"]
    assert found[-1] == {"event": "end", "status": 0, "folder": str(out / "told")}
    card = (out / "told" / "MODEL_CARD.md").read_text()
    assert card.startswith(f"# Model card: {'the defaults' if best['trial'] == 0 else 'trial 1'} of study `told`\n")
    said = subprocess.run(
        [sys.executable, "-m", "raytune_planes", "best", "--json", "--out", str(out)], capture_output=True, text=True
    )
    assert found[-2]["result"] == json.loads(said.stdout), "the result is that of best --json"
