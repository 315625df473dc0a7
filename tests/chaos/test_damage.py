"""A study is killed, one of its files is deleted, cut or exchanged, and it goes on: nothing is lost in silence."""

from __future__ import annotations

import io
import os
import re
import shutil
import sqlite3
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raytune_planes.errors import UserError
from raytune_planes.records import End
from raytune_planes.terminal import Outline, PlainView
from raytune_planes.tracking.base import StudyEnd, StudyStart, Trackers
from raytune_planes.tracking.files import LAST
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.mlflow import sync
from raytune_planes.tracking.reading import read_study
from raytune_planes.training.checkpoint import load
from raytune_planes.training.stages import train_stages
from raytune_planes.training.workers import LocalWorker
from raytune_planes.tuning.budget import Limits, StudyBudget
from raytune_planes.tuning.callbacks import Recorder
from raytune_planes.tuning.earlier import recover
from raytune_planes.tuning.keeping import Keeper
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.reporter import Reporter
from tests.chaos.agreement import differences, disagreements
from tests.tuning.tiny import GOAL, tiny_plan

pytestmark = [
    pytest.mark.slow,
    # MLflow's own queries, over a newer SQLAlchemy
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]
POOL = {"name": "cpu", "gpus": 0.0, "nccl": False, "labels": {}}
TRIALS = 3
Damage = Callable[[Path, Path], None]


class Killed(BaseException):
    """The driver dies here, and writes nothing more."""


class ToRecorder(Reporter):
    """Brings the word of a trial to the recorder without Ray between them."""

    def __init__(self, folder: Path, recorder: Recorder, trial: Any, dies_after: int | None) -> None:
        super().__init__(folder, LocalWorker("cpu"))
        self.recorder, self.trial, self.dies_after = recorder, trial, dies_after

    def __call__(self, record: Any, checkpoint: Any) -> None:
        super().__call__(record, checkpoint)
        self._writer.flush()  # else the file that is damaged next may not be there yet
        if record.epoch == self.dies_after:
            raise Killed

    def _report(self, told: dict[str, Any]) -> None:
        self.recorder.on_trial_result(0, [], self.trial, told)


def drive(plan: StudyPlan, dies: tuple[int, int] | None = None) -> list[str]:
    """What a driver does with a study, in this process; returns what it told. ``dies``: in trial, after epoch."""
    folder, said = plan.out / plan.name, []
    folder.mkdir(parents=True, exist_ok=True)
    search, earlier, going_on = recover(plan, folder, said.append)
    trackers = Trackers(JsonlTracker(plan.out), Keeper(folder, TRIALS, said.append, earlier))
    view, task = PlainView(io.StringIO()), plan.task(folder)
    budget = StudyBudget(Limits(), GOAL, time.monotonic)
    recorder = Recorder(task, search, trackers, view, rungs=None, budget=budget, earlier=earlier, finish=lambda: None)
    digest, now_ms = plan.space.digest, int(time.time() * 1000)
    trackers.start_study(
        StudyStart(plan.name, GOAL, space_digest=digest, data=plan.material.data, trials=TRIALS, started_ms=now_ms)
    )
    view.start(Outline(plan.name, GOAL, {"fgvc": "val/fgvc/accuracy"}, TRIALS, 3))
    waiting = list(going_on)
    while asked := (search.adopt(waiting.pop(0).trial_id) if waiting else search.ask()):
        config = {"trial_id": asked.trial_id, "number": asked.number, "drawn": asked.drawn, "pool": POOL}
        trial = SimpleNamespace(config=config)
        recorder.on_trial_start(0, [], trial)
        place = task.folder(asked.number, asked.trial_id)
        last = place / LAST if (place / LAST).is_file() else None
        report = ToRecorder(place, recorder, trial, dies[1] if dies and dies[0] == asked.number else None)
        if last:
            try:
                report.tell_again(load(last))
            except UserError as error:
                said.append(str(error))
                last = None
        end, reason = train_stages(task.config(asked.drawn), task.supply, GOAL, resume=last, report=report)
        recorder.on_trial_result(0, [], trial, {"end": end.value, "reason": reason})
    trackers.end_study(StudyEnd(End.COMPLETED, "all trials have ended", int(time.time() * 1000)))
    search.close()
    return said


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyPlan, Path]:
    """A study whose driver died in trial 1 after two of its three epochs, known to MLflow; and one in peace."""
    place = tmp_path_factory.mktemp("damage")
    plan = tiny_plan(place, fixed={"stopping.rule": "none", "budget.steps_per_epoch": 3}, trials=TRIALS)
    with pytest.raises(Killed):
        drive(plan, dies=(1, 2))
    with closing(sqlite3.connect(plan.out / "tiny" / "optuna.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else a damaged file may be whole by its journal
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # marks do not reach fixtures of a module
        sync(plan.out / "tiny")
    calm = replace(plan, out=place / "calm")
    assert drive(calm) == []
    return plan, calm.out / "tiny"


def delete(path: Path, other: Path) -> None:
    path.unlink()


def cut(path: Path, other: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def exchange(path: Path, other: Path) -> None:
    shutil.copyfile(other, path)


def at(folder: Path, name: str) -> Path:
    """``0/end.json``: of trial 0; else of the study or beside it."""
    number, _, rest = name.partition("/")
    if rest:
        return next((folder / "trials").glob(f"{int(number):04d}-*")) / rest
    return (folder.parent if name == "mlflow.db" else folder) / name


CASES = [
    ("optuna.db", delete, "", "optuna.db is missing. The search's database is recreated"),
    ("optuna.db", cut, "", "cannot be opened as the database of a study"),
    ("optuna.db", exchange, "0/best.pt", "file is not a database; it is kept as optuna.db.before-"),
    ("study.json", delete, "", "it has no study.json; 'raytune-planes tune --resume tiny --out .*' recreates it"),
    ("study.json", cut, "", "study.json cannot be read"),
    ("study.json", exchange, "calm", "belongs to another study than the trials next to it; it is recreated"),
    ("0/end.json", delete, "", "trial 0 .* has lost its end.json: the search knows that it was completed"),
    ("0/end.json", cut, "", "end.json: is left out, it cannot be read"),
    ("0/end.json", exchange, "calm", "end.json: is left out, it is of trial"),
    ("0/trial.json", delete, "", "trial.json was missing or damaged and is recreated from config.yaml"),
    ("0/trial.json", cut, "", "trial.json was missing or damaged and is recreated from config.yaml"),
    ("0/epochs.jsonl", delete, "", "epochs.jsonl: epoch 1, 2, 3 was missing and is restored from last.pt"),
    ("0/epochs.jsonl", cut, "", "was missing and is restored from last.pt"),
    ("0/epochs.jsonl", exchange, "1/epochs.jsonl", "epoch 1, 2, 3 was wrong and is restored from last.pt"),
    ("1/epochs.jsonl", delete, "", "epochs.jsonl: epoch 1, 2 was missing and is restored from last.pt"),
    ("1/epochs.jsonl", cut, "", "was missing and is restored from last.pt"),
    ("1/epochs.jsonl", exchange, "0/epochs.jsonl", "epoch 1, 2 was wrong and is restored from last.pt"),
    ("0/best.pt", delete, "", "trial 0 has lost its weights .best.pt is missing or empty.; its figures stay"),
    ("0/best.pt", cut, "", "trial 0 has lost its weights .*; its figures stay"),
    ("0/best.pt", exchange, "1/best.pt", "trial 0 has lost its weights .best.pt is of another training"),
    ("1/best.pt", delete, "", "trial 1 starts from its beginning, .*: no checkpoint at .*best.pt"),
    ("1/best.pt", cut, "", "trial 1 starts from its beginning, .*: "),
    ("1/best.pt", exchange, "0/best.pt", "trial 1 starts from its beginning, .*: best.pt is of another training"),
    ("1/last.pt", cut, "", "last.pt"),
    ("1/last.pt", exchange, "0/last.pt", "trial 1 starts from its beginning, .*: last.pt is of a trial with another"),
]


@pytest.mark.parametrize(
    ("name", "damage", "other", "told"), CASES, ids=[f"{name}-{d.__name__}" for name, d, _, _ in CASES]
)
def test_a_damaged_file_is_told_and_the_study_comes_to_what_it_would_have_been(
    killed: tuple[StudyPlan, Path], tmp_path: Path, name: str, damage: Damage, other: str, told: str
) -> None:
    plan, folder = resumed(killed, tmp_path)
    source = at(killed[1], name) if other == "calm" else at(folder, other) if other else folder
    damage(at(folder, name), source)

    said = drive(plan)

    assert any(re.search(told, text) for text in said), said
    uri = f"sqlite:///{plan.out}/mlflow.db"
    sync(folder, uri)
    assert disagreements(folder, uri, TRIALS) == []
    assert differences(killed[1], folder) == []
    if not name.startswith("0/best"):
        assert all((at(folder, f"{n}/best.pt")).is_file() for n in range(TRIALS))


def test_a_trial_whose_folder_or_epochs_are_gone_is_trained_again(
    killed: tuple[StudyPlan, Path], tmp_path: Path
) -> None:
    for number, lose in enumerate((lambda folder: at(folder, "0/end.json").parent, lambda f: at(f, "0/last.pt"))):
        plan, folder = resumed(killed, tmp_path / str(number))
        gone = lose(folder)
        if gone.is_dir():
            shutil.rmtree(gone)
        else:
            gone.unlink()
            at(folder, "0/epochs.jsonl").unlink()
        said = drive(plan)
        assert any("it is trained again" in text for text in said), said
        uri = f"sqlite:///{plan.out}/mlflow.db"
        sync(folder, uri)
        assert disagreements(folder, uri, TRIALS) == []
        assert differences(killed[1], folder) == []


@pytest.mark.parametrize("damage", [delete, cut, exchange])
def test_a_damaged_mlflow_store_is_filled_again_from_the_records(
    killed: tuple[StudyPlan, Path], tmp_path: Path, damage: Damage
) -> None:
    plan, folder = resumed(killed, tmp_path)
    store, uri = at(folder, "mlflow.db"), f"sqlite:///{plan.out}/mlflow.db"
    damage(store, at(folder, "0/best.pt"))
    assert drive(plan) == []
    if damage is not delete:
        with pytest.raises(UserError, match=r"mlflow.db is damaged; move it away, and 'raytune-planes sync STUDY'"):
            sync(folder, uri)
        store.unlink()
    sync(folder, uri)
    assert disagreements(folder, uri, TRIALS) == []


def resumed(killed: tuple[StudyPlan, Path], place: Path) -> tuple[StudyPlan, Path]:
    """A copy of the killed study, to be damaged and resumed."""
    plan = replace(killed[0], out=place / "results")
    shutil.copytree(killed[0].out, plan.out)
    assert [t.end for t in read_study(plan.out / "tiny").trials] == [End.COMPLETED, End.RUNNING]
    return plan, plan.out / "tiny"
