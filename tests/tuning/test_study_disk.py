"""Sixty trials leave no more on the disk than five checkpoints: the driver over real files of a small model."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from raytune_planes.records import End, EpochRecord, Goal, Objective
from raytune_planes.terminal import Outline, PlainView
from raytune_planes.tracking.base import StudyStart, Trackers
from raytune_planes.tracking.files import LAST, WEIGHTS
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.reading import read_study
from raytune_planes.training.checkpoint import Checkpoint, load
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from raytune_planes.training.writing import Writer
from raytune_planes.tuning.budget import Limits, StudyBudget
from raytune_planes.tuning.callbacks import Recorder
from raytune_planes.tuning.keeping import Keeper
from raytune_planes.tuning.search import Search
from tests.toy import toy_config, toy_data, toy_prompts
from tests.tuning.test_callbacks import POOL, SAMPLES
from tests.tuning.tiny import tiny_plan

TRIALS = 60
GOAL = Goal((Objective("val/fgvc/accuracy"),))


def on_disk(study: Path, *names: str) -> int:
    return sum(path.stat().st_size for name in names for path in study.rglob(name))


@pytest.mark.slow
def test_sixty_trials_take_no_more_than_five_checkpoints(tmp_path: Path) -> None:
    trainer = Trainer(
        toy_config(model__backbone__kind="timm/mobilenetv3_small_050"), toy_data(), toy_prompts(), LocalWorker("cpu")
    )
    trainer.begin()
    trainer.train_epoch(["planesnet", "hrplanes", "fgvc"])
    plan = tiny_plan(tmp_path, trials=TRIALS)
    plan = replace(plan, space=replace(plan.space, goal=GOAL))
    study = plan.out / "tiny"
    trackers = Trackers(JsonlTracker(plan.out), Keeper(study, plan.settings.keep, print))
    view, search = PlainView(io.StringIO()), Search(plan.space)
    trackers.start_study(StudyStart("tiny", GOAL))
    view.start(Outline("tiny", GOAL, {"fgvc": "val/fgvc/accuracy"}, TRIALS, 1))
    task, budget = plan.task(study), StudyBudget(Limits(), GOAL, lambda: 0.0)
    recorder = Recorder(task, search, trackers, view, rungs=None, budget=budget, finish=lambda: None)
    most, one, state = 0, 0, 0
    with Writer() as writer:
        for number in range(TRIALS):
            asked = search.ask()
            assert asked is not None
            config = {"trial_id": asked.trial_id, "number": number, "drawn": asked.drawn, "pool": POOL}
            trial = SimpleNamespace(config=config)
            recorder.on_trial_start(0, [], trial)
            folder = task.folder(number, asked.trial_id)
            record = EpochRecord(1, 3, SAMPLES, {"val/fgvc/accuracy": (37 * number % TRIALS) / TRIALS}, seconds=1)
            writer.save(Checkpoint(trainer.state_dict(0.0), trainer.model_state(record), True), folder)
            writer.flush()
            place = {"host": "here", "node": "", "device": "cpu"}
            told = {"record": record.to_json(), "place": place, "cores": {"busy_s": 1.0}}
            recorder.on_trial_result(0, [], trial, told)
            one, state = (folder / WEIGHTS).stat().st_size, (folder / LAST).stat().st_size
            most = max(most, on_disk(study, WEIGHTS, LAST))
            recorder.on_trial_result(0, [], trial, {"end": End.COMPLETED.value, "reason": "the budget is spent"})
    assert state > 2.9 * one > 3_000_000, "the files are those of a whole model and its AdamW"
    assert on_disk(study, WEIGHTS) <= 4 * one * 1.001, "the three best and the defaults"
    assert on_disk(study, WEIGHTS, LAST) <= 5 * one
    assert most <= 5 * one + state + 0.1 * one, "and one trial that runs"
    known = read_study(study)
    assert [(t.end, len(t.epochs)) for t in known.trials] == [(End.COMPLETED, 1)] * TRIALS, "records stay"
    with_weights = {path.parent.name for path in study.rglob(WEIGHTS)}
    best = sorted(known.trials, key=lambda t: t.epochs[0].metrics["val/fgvc/accuracy"])[-3:]
    assert with_weights == {task.folder(t.number, t.trial_id).name for t in (known.trials[0], *best)}
    assert load(task.folder(best[-1].number, best[-1].trial_id) / WEIGHTS)["metrics"] == dict(
        best[-1].epochs[0].metrics
    )
