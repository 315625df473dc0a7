"""``prune`` removes what a study does not need, says how much that is, and never what is needed."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from raytune_planes.cli import main
from raytune_planes.records import End
from raytune_planes.tracking import JsonlTracker
from raytune_planes.tracking.files import LAST, WEIGHTS, save_json
from raytune_planes.training import checkpoint
from raytune_planes.training.ended import holds_tensors
from raytune_planes.tuning.lease import Lease
from tests.tracking.studies import FINISH, START
from tests.tuning.test_keeping import GOAL, end_trial, with_weights

SPACE = "objectives: [val/fgvc/accuracy]\nsearch: {optim.lr: {float: [0.001, 0.01]}}\nstudy: {keep: 2}\n"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Of a version that removed nothing: seven trials, a confirmed training, and what a killed process left."""
    tracker = JsonlTracker(tmp_path)
    tracker.start_study(replace(START, goal=GOAL, space_text=SPACE))
    for number in range(7):
        end_trial(tracker, number, End.INTERRUPTED if number == 4 else End.COMPLETED)
    tracker.end_study(FINISH)
    (left,) = tracker.folder.glob("trials/0001-*")
    (left / f".{LAST}.4711").write_bytes(b"x" * 1000)
    again = tracker.folder / "confirm" / "0003-seed1"
    checkpoint.save({"weights": {"a": torch.zeros(1000)}}, again / WEIGHTS)
    (again / "result.json").write_text("{}")
    unfinished = tracker.folder / "confirm" / "0003-seed2"
    checkpoint.save({"weights": {"a": torch.zeros(1000)}}, unfinished / WEIGHTS)
    return tracker.folder


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def prune(study: Path, *more: str) -> int:
    return main(["prune", study.name, "--out", str(study.parent), *more])


def test_a_dry_run_tells_and_removes_nothing(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    assert prune(study, "--dry-run") == 0
    assert {path: path.read_bytes() for path in study.rglob("*") if path.is_file()} == before
    said = capsys.readouterr().out
    assert "4.5 MiB would be removed from study quick-1, which keeps 2 of the best" in said
    assert "  weights: 4 files, 1.5 MiB of trials 1, 2, 6\n" in said
    assert "  optimiser state: 6 files, 3.0 MiB of trials 0, 1, 2, 3, 5, 6\n" in said
    assert "  unfinished file: 1 file" in said
    assert said.splitlines()[-4:] == [
        "  trial 0, 0.5 MiB: the defaults",
        "  trial 3, 0.5 MiB: number 1 of the best",
        "  trial 4, 0.5 MiB: can be resumed",
        "  trial 5, 0.5 MiB: number 2 of the best",
    ]


def test_what_is_not_needed_goes_and_the_disk_has_as_much_more_as_is_said(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = size(study)
    assert prune(study, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert with_weights(study) == {0, 3, 4, 5}
    assert [path.name for path in study.glob("confirm/*/best.pt")] == ["best.pt"], "of the one without a result"
    assert {path.parent.name[:4] for path in study.glob(f"trials/*/{LAST}") if holds_tensors(path)} == {"0004"}
    assert not list(study.glob("trials/*/.last.pt*"))
    assert {kept["trial"]: kept["why"] for kept in told["kept"]} == {
        **{0: "the defaults", 3: "number 1 of the best", 4: "can be resumed", 5: "number 2 of the best"}
    }
    notes = size(study) - (before - told["bytes"])
    assert 0 <= notes < 6 * 3000 + 3 * 200, "six small files in place of states, three notes"
    assert prune(study, "--json") == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == 0, "a second time finds nothing"


def test_fewer_are_kept_where_that_is_asked_and_the_best_always(study: Path) -> None:
    assert prune(study, "--keep", "1") == 0
    assert with_weights(study) == {0, 3, 4}
    assert main(["predict", str(next(study.glob("trials/0005-*"))), str(study / "study.json")]) == 2


def test_a_study_that_runs_is_not_pruned(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Lease(study):
        assert prune(study) == 2
    assert f"is being run by process {os.getpid()}" in capsys.readouterr().err
    assert with_weights(study) == set(range(7))


def test_as_many_are_kept_as_the_study_was_asked_to(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (study / "asked.json").write_text(json.dumps({"keep": 3}))
    assert prune(study, "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["keep"] == 3
    (study / "asked.json").write_text(json.dumps({"keep": None}))
    (study / "space.yaml").unlink()
    assert prune(study, "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["keep"] == 3, "the default"


def test_states_of_ended_trainings_beside_the_trials_go_too(study: Path) -> None:
    shutil.copytree(next(study.glob("trials/0003-*")), study / "final" / "0003-ab03-9")
    save_json(study / "final" / "final.json", {"epochs": 9, "number": 3, "trial_id": "ab03"})
    assert prune(study) == 0
    assert [p.name for p in (study / "final" / "0003-ab03-9").glob("*.pt")] == [WEIGHTS]
