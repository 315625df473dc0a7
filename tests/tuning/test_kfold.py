"""Studies whose trials train on every fold: what is refused, who is pruned after which fold, and a whole study."""

from __future__ import annotations

import io
import math
import os
import signal
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from raytune_planes.datasets.folds import fingerprint
from raytune_planes.errors import UserError
from raytune_planes.fold_metrics import of_fold, plain, together
from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.settings import flatten, make_config
from raytune_planes.space import Dimension, RungSettings, Space, StudySettings, cautioned, check, describe
from raytune_planes.terminal import PlainView
from raytune_planes.tracking.base import Trackers
from raytune_planes.tracking.files import trial_folder
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.validation import VALIDATION, read_validation
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.training.folds import on_fold, train_trial
from raytune_planes.training.loop import StopTrial, train
from raytune_planes.tuning.judging import FoldRungs, is_final, rungs_of
from raytune_planes.tuning.mending import mend
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.references import train_alone
from raytune_planes.tuning.rungs import Rungs
from raytune_planes.tuning.study import Outcome, run_study
from tests.toy import toy_data
from tests.tuning.tiny import tiny_plan

KEY = "val/fgvc/accuracy"
GOAL = Goal((Objective(KEY),))
THREE = {"split.kind": "kfold", "split.folds": 3, "budget.epochs": 2}


def told(*values: float, samples: int = 100) -> list[EpochRecord]:
    """The epochs of a trial whose folds have these results, two a fold."""
    epochs, ended = [], list[dict[str, float]]()
    for fold, value in enumerate(values, start=1):
        ended.append({KEY: value})
        raw = of_fold(fold, {KEY: value})
        counts = [samples * (2 * fold - 1), samples * 2 * fold]
        epochs.append(EpochRecord(2 * fold - 1, 1, counts[0], raw, fold=fold))
        epochs.append(EpochRecord(2 * fold, 1, counts[1], raw | together(ended), fold=fold, result=ended[-1]))
    return epochs


def test_trials_are_compared_at_equal_numbers_of_folds_by_the_mean_so_far() -> None:
    rungs = FoldRungs(GOAL, 1, 3, budget=5)
    for number, value in ((0, 0.1), (1, 0.5), (2, 0.4)):
        within, end = told(value, samples=100 * (number + 1))
        assert not rungs.judge(number, within).reason, "within a fold nobody is judged"
        assert not rungs.judge(number, end).stop or number == 2
    within, end = told(0.3, samples=50)
    assert not rungs.judge(3, within).stop
    verdict = rungs.judge(3, end)
    assert verdict.stop
    assert verdict.reason == "after fold 1: place 3 of 4 by the mean of the folds so far, 2 go on"


def test_the_next_rung_is_of_more_folds_and_takes_their_mean() -> None:
    rungs = FoldRungs(GOAL, 1, 3, budget=5)
    verdicts: dict[int, list[tuple[bool, str]]] = {}
    courses = {0: told(0.0, 0.0, 0.0), 1: told(0.9, 0.1, 0.2), 2: told(0.95, 0.5, 0.4)}
    for i in range(6):
        for number, epochs in courses.items():
            verdict = rungs.judge(number, epochs[i])
            verdicts.setdefault(number, []).append((verdict.stop, verdict.reason))
    assert [stop for stop, _ in verdicts[1]] == [False] * 6
    assert [reason for _, reason in verdicts[2]] == [
        "",
        "after fold 1: place 1 of 3 by the mean of the folds so far, 1 goes on",
        "",
        "",
        "",
        "after fold 3: place 1 of 3 by the mean of the folds so far, 1 goes on",
    ]


def test_a_floor_holds_for_the_mean_as_it_is() -> None:
    floor = Goal(GOAL.objectives, {"val/planesnet/accuracy": 0.9})
    rungs = FoldRungs(floor, 1, 2, budget=3, floors="strict")

    def end(objective: float, kept: float) -> EpochRecord:
        metrics = {KEY: objective, "val/planesnet/accuracy": kept}
        return EpochRecord(1, 1, 10, metrics, fold=1, result=metrics)

    rungs.judge(0, end(0.1, 0.95))
    verdict = rungs.judge(1, end(0.9, 0.85))
    assert verdict.stop
    assert verdict.reason.endswith("val/planesnet/accuracy was 0.8500, below its floor of 0.9")


def test_a_stop_that_did_not_reach_its_trial_is_said_again_after_a_resume() -> None:
    trials = [TrialRecord(str(n), n, {}, {}, tuple(told(value))) for n, value in ((0, 0.5), (1, 0.4), (2, 0.3))]
    rungs = FoldRungs(GOAL, 1, 3, budget=3)
    rungs.replay(trials)
    assert rungs.stopped(2).stop
    assert rungs.judge(2, told(0.3, 0.3)[2]) == rungs.stopped(2)


def test_a_study_prunes_by_folds_where_its_trials_train_on_all(tmp_path: Path) -> None:
    settings = StudySettings(trials=3, rungs=RungSettings(grace=0.25))
    plan = tiny_plan(tmp_path, fixed={"split.kind": "kfold"}, settings=settings)
    rungs = rungs_of(plan, ())
    assert isinstance(rungs, FoldRungs)
    assert ([rungs.level(n) for n in (0, 1)], rungs.budget, rungs.floors) == ([1, 3], 5, "strict")
    other = rungs_of(tiny_plan(tmp_path / "other", settings=settings), ())
    assert type(other) is Rungs
    assert (other.grace, other.budget, other.floors) == (54, 216, "reach")


@pytest.mark.parametrize(("folds", "within", "final"), [(3, False, True), (3, True, False), (2, False, False)])
def test_the_end_of_the_last_fold_is_final(folds: int, within: bool, final: bool) -> None:
    config = flatten(make_config(THREE))
    epochs = told(*[0.5] * folds)
    rested = replace(epochs[-2 if within else -1], resting=("planesnet", "hrplanes", "fgvc"))
    assert is_final(TrialRecord("t", 1, {}, config, (rested,))) is final


@pytest.mark.parametrize(
    ("fixed", "searched", "said"),
    [
        ({}, Dimension("split.kind", "choice", choices=("holdout", "kfold")), "search: split.kind decides which pic"),
        (THREE, Dimension("split.folds", "int", 2, 5), "search: split.folds decides which pictures validate"),
        (THREE | {"split.fold": 1}, None, "split.fold = 1: a trial trains on every fold, so leave it out"),
        (
            THREE | {"plan": "a, b", "stages.a.optim.lr": 0.1, "stages.b.optim.lr": 0.1},
            None,
            "split.kind = kfold: a plan of stages is not trained on every fold",
        ),
    ],
)
def test_what_cannot_be_trained_on_every_fold_is_refused(
    fixed: Mapping[str, Any], searched: Dimension | None, said: str
) -> None:
    search = (Dimension("optim.lr", "float", 1e-4, 1e-2), *([searched] if searched else []))
    with pytest.raises(UserError, match=said):
        check(Space("mine", "", GOAL, fixed, search))


def test_trials_that_train_on_every_fold_do_not_pause() -> None:
    search = (Dimension("optim.lr", "float", 1e-4, 1e-2),)
    study = StudySettings(rungs=RungSettings(rule="promote"))
    with pytest.raises(UserError, match="study.rungs.rule = promote: a trial that trains on every fold cannot pause"):
        check(Space("mine", "", GOAL, THREE, search, study))
    check(Space("mine", "", GOAL, {}, search, study))


def test_folds_with_a_space_that_has_no_such_problem_pass_and_a_start_is_cautioned() -> None:
    space = Space("mine", "", GOAL, THREE, (Dimension("optim.lr", "float", 1e-4, 1e-2),))
    check(space)
    assert "each trial: trained on 3 folds" in describe(space)
    assert cautioned(space) == ()
    (caution,) = cautioned(replace(space, fixed=THREE | {"start": "best.pt"}))
    assert caution.startswith("start = best.pt with split.kind = kfold: where that checkpoint was trained on these pic")
    assert cautioned(replace(space, fixed={"start": "best.pt"})) == ()


def test_a_study_on_all_folds_has_other_data_than_one_on_a_fold() -> None:
    arrays = toy_data()["fgvc"]
    names = [fingerprint(arrays, make_config(split).split) for split in ({}, {"split.kind": "group"}, THREE)]
    assert names == ["toy-fgvc", "toy-fgvc share-0.1", "toy-fgvc 3-folds"]


def test_a_dataset_alone_is_trained_on_every_fold_too(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, fixed=THREE)
    (folder := plan.out / plan.name).mkdir(parents=True)
    task = plan.task(folder)
    whole = train_alone(task, plan.space.first(), "fgvc", tmp_path / "alone")
    assert whole["samples"] == 3 * 2 * 3 * 8, "three folds of two epochs, a third of nine steps each"
    assert whole["metrics"]["val/fgvc/images"] == 40
    assert f"standard_error/{KEY}" in whole["metrics"]


def test_a_trial_that_lost_the_answers_of_its_folds_begins_again(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, fixed=THREE)
    tracker, drawn = JsonlTracker(plan.out), plan.space.first()
    tracker.start_study(plan.as_record())
    config, study = plan.config(drawn), plan.out / plan.name
    tracker.start_trial(TrialRecord("a", 0, drawn, flatten(config), started_ms=1))
    folder, notes = trial_folder(study, 0, "a"), list[str]()

    def keep(record: EpochRecord, kept: Checkpoint) -> None:
        tracker.log_epoch("a", record)
        kept.save(folder)
        if record.fold == 2:
            raise StopTrial(End.INTERRUPTED, "asked to")

    train_trial(config, plan.task(study).supply, GOAL, report=keep)

    (record,) = mend(study, plan.space, notes.append)
    assert ([e.fold for e in record.epochs], notes) == ([1, 1, 2], [])
    (folder / VALIDATION).unlink()
    mend(study, plan.space, notes.append)
    assert notes[0].startswith("trial 0 starts from its beginning, with the same result: no validation predictions in")
    assert not (folder / "last.pt").exists()


def run(plan: StudyPlan, view: PlainView | None = None) -> tuple[Outcome, str]:
    shown = io.StringIO()
    outcome = run_study(plan, view=view or PlainView(shown), trackers=Trackers(JsonlTracker(plan.out)))
    return outcome, shown.getvalue()


class StopsInTheSecondFold(PlainView):
    def epoch(self, trial: TrialRecord, epoch: EpochRecord) -> None:
        super().epoch(trial, epoch)
        if trial.number == 0 and epoch.epoch == 3:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray leaves pipes to its processes for the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the same, told by pytest
def test_a_study_on_folds_prunes_goes_on_after_an_interrupt_and_means_what_its_folds_say(tmp_path: Path) -> None:
    settings = StudySettings(trials=3, rungs=RungSettings(enabled=True, reduction=2))
    given = ({"optim.lr": 1e-7}, {"optim.lr": 1e-8})
    plan = tiny_plan(tmp_path, fixed=THREE, settings=settings, concurrent=1, start_from=given)
    loss = "val/planesnet/loss"  # after so few steps every accuracy may still be at chance
    plan = replace(plan, space=replace(plan.space, goal=Goal((Objective(loss, "min"),))))

    first, _ = run(plan, StopsInTheSecondFold(io.StringIO()))

    assert first.interrupted
    stopped = first.study.trials[0]
    assert [(e.epoch, e.fold, bool(e.result)) for e in stopped.epochs] == [(1, 1, False), (2, 1, True), (3, 2, False)]
    second, shown = run(plan)

    trials = second.study.trials
    defaults = trials[0]
    assert [t.end for t in trials] == [End.COMPLETED, End.PRUNED, End.PRUNED], shown
    for number, behind in enumerate(trials[1:], start=2):
        assert behind.reason.startswith(f"after fold 1: place {number} of {number} by the mean of the folds so far, ")
        assert [(e.fold, bool(e.result)) for e in behind.epochs] == [(1, False), (1, True)]
    config = plan.config(defaults.drawn)
    alone = []
    for fold in (1, 2, 3):
        mine, epochs = on_fold(config, fold), list[EpochRecord]()
        data, prompts = plan.task(second.study.folder).supply(mine)
        train(mine, data, prompts, plan.space.goal, report=lambda record, _, epochs=epochs: epochs.append(record))
        assert [plain(e) for e in defaults.epochs if e.fold == fold] == [dict(e.metrics) for e in epochs]
        alone.append(min(e.metrics[loss] for e in epochs))
    best = defaults.best(plan.space.goal)
    assert best is not None
    assert best.metrics[loss] == statistics.fmean(alone)
    assert best.metrics[f"standard_error/{loss}"] == statistics.stdev(alone) / math.sqrt(3)
    assert f"trial 0: mean of 3 folds: planesnet accuracy {best.metrics['val/planesnet/accuracy']:.4f} ± " in shown
    known = optuna.load_study(study_name=plan.name, storage=f"sqlite:///{second.study.folder}/optuna.db").trials
    assert known[0].values == [best.metrics[loss]]
    assert known[1].state is optuna.trial.TrialState.PRUNED
    answers = read_validation(trial_folder(second.study.folder, 0, defaults.trial_id))
    assert len(answers["fgvc"].pictures_N) == 40
    assert sum(t.trained for t in trials) == (3 + 1 + 1) * 2 * 72, "what a limit of samples counts"
