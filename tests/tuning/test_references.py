"""Datasets trained alone beside a study: what they are trained with, who shares them, and the floors they settle."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raytune_planes.floors import Relative
from raytune_planes.processors import allowed
from raytune_planes.records import End, Goal, Objective
from raytune_planes.report import gained, summary
from raytune_planes.terminal import PlainView
from raytune_planes.tracking.base import Trackers
from raytune_planes.tracking.files import LAST, SHARED, WEIGHTS
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.mlflow_notes import study_note
from raytune_planes.tracking.reading import epochs_digest, read_trial
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.tuning.alone import alone, train_alone, why_no_teacher
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.study import Outcome, run_study
from raytune_planes.tuning.trial import Task
from tests.tuning.tiny import GOAL, tiny_plan

PLANES, IOU, FGVC = "val/planesnet/accuracy", "val/hrplanes/iou", "val/fgvc/accuracy"


@pytest.fixture
def plan(tmp_path: Path) -> StudyPlan:
    shares = {"datasets.fgvc.share": 4.0, "datasets.hrplanes.share": 3.0, "datasets.planesnet.share": 2.0}
    return tiny_plan(tmp_path, fixed=shares, trials=2)


def a_task(plan: StudyPlan) -> tuple[Task, dict[str, Any]]:
    folder = plan.out / plan.name
    folder.mkdir(parents=True)
    return plan.task(folder), plan.space.first()


def test_a_dataset_alone_gets_the_steps_that_it_has_among_the_others(plan: StudyPlan) -> None:
    task, first = a_task(plan)
    joint = task.config(first)
    found = {name: alone(task, first, name) for name in joint.active}
    assert {name: tuple(config.active) for name, config in found.items()} == {name: (name,) for name in joint.active}
    steps = {name: config.budget.steps_per_epoch for name, config in found.items()}
    assert steps == {"fgvc": 4, "hrplanes": 3, "planesnet": 2}, "9 steps by the shares 4, 3 and 2"
    assert {c.stopping.rule for c in found.values()} == {"none"}
    assert all(config.optim == joint.optim for config in found.values())


def test_a_training_alone_that_was_cut_off_goes_on_and_comes_to_the_same(
    plan: StudyPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, first = a_task(plan)
    whole = train_alone(task, first, "fgvc", tmp_path / "whole")
    assert whole["samples"] == 3 * 4 * 8
    assert set(whole["metrics"]) >= {FGVC, "val/fgvc/loss"}
    assert not any("planesnet" in key for key in whole["metrics"])
    assert not (tmp_path / "whole" / LAST).exists(), "it is of no use any more"
    assert why_no_teacher(tmp_path / "whole") == ""
    record, warnings = read_trial(tmp_path / "whole")
    assert (record.tags["dataset"], record.end, warnings) == ("fgvc", End.COMPLETED, ())
    assert [e.samples for e in record.epochs] == [32, 64, 96]
    assert record.config["budget.steps_per_epoch"] == 4

    kept = Checkpoint.save

    def dies_after_the_second(self: Checkpoint, folder: Path) -> None:
        kept(self, folder)
        if len(self.state["alone"]) == 2:
            raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "save", dies_after_the_second)
        with pytest.raises(SystemExit):
            train_alone(task, first, "fgvc", tmp_path / "cut")
    assert (tmp_path / "cut" / LAST).exists()
    assert train_alone(task, first, "fgvc", tmp_path / "cut") == whole


def test_a_training_alone_that_fails_says_why(plan: StudyPlan, tmp_path: Path) -> None:
    task, first = a_task(plan)
    wrong = replace(task, layers=(*task.layers, {"model.dit.heads": 3}))
    assert "model.dit.heads" in train_alone(wrong, first, "fgvc", tmp_path / "wrong")["failed"]
    assert not (tmp_path / "wrong" / "result.json").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_study_with_references_has_the_trials_of_one_without_and_floors_that_follow(
    plan: StudyPlan, tmp_path: Path
) -> None:
    plan = replace(plan, concurrent=1, cpus_per_worker=allowed())
    plain, _ = _run(plan)
    compared, shown = _run(replace(plan, name="compared", references=True))

    def course(outcome: Outcome) -> list[tuple[int, Mapping[str, Any], End, str]]:
        return [(t.number, t.drawn, t.end, epochs_digest(t.epochs)) for t in outcome.study.trials]

    assert course(compared) == course(plain)
    assert plain.study.alone == {}
    assert sorted(compared.study.alone) == ["fgvc", "hrplanes", "planesnet"]
    reached = {key: compared.study.alone[key.split("/")[1]][key] for key in (PLANES, IOU, FGVC)}
    for key in (PLANES, IOU, FGVC):
        assert f"{key} {reached[key]:.4f} after" in shown

    goal = Goal(GOAL.objectives, {}, {PLANES: Relative("defaults", -0.01), IOU: Relative("alone", -0.02)})
    places = {path.name.split("-")[0]: path for path in (plan.out / SHARED).iterdir()}
    shutil.rmtree(places["fgvc"])
    kept = {name: places[name].stat().st_mtime_ns for name in ("hrplanes", "planesnet")}
    # The only place takes all processors, and the second trial waits for one that is trained alone and needs them.
    follows = replace(plan, name="follows", references=True, space=replace(plan.space, goal=goal))
    outcome, shown = _run(follows)

    assert outcome.reason == "2 trials of 2 are done", shown
    first = outcome.study.trials[0]
    best = first.best(Goal(GOAL.objectives))
    assert best is not None
    assert outcome.study.start.goal.floors == {
        PLANES: pytest.approx(max(0.0, best.metrics[PLANES] - 0.01)),
        IOU: pytest.approx(max(0.0, reached[IOU] - 0.02)),
    }
    assert f"the floor of {PLANES}, defaults - 0.01, is {outcome.study.start.goal.floors[PLANES]:.4f}" in shown
    assert set((plan.out / SHARED).iterdir()) == set(places.values())
    assert {name: places[name].stat().st_mtime_ns for name in kept} == kept, "it trains none of these again"
    assert compared.study.alone == outcome.study.alone

    answer = summary.summarise(outcome.study)
    assert answer is not None
    assert {g.metric: g.alone for g in answer.gains if g.metric in reached} == pytest.approx(reached)
    text = summary.as_text(outcome.study)
    by_metric = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith("  val/")}
    assert f"{reached[FGVC]:.4f}" in by_metric[FGVC]
    assert [line.split(":")[0] for line in gained.transfer(outcome.study, answer.gains)] == [FGVC, IOU, PLANES]
    assert f"{reached[FGVC]:.4f} |" in study_note(outcome.study)

    more = replace(follows, settings=follows.settings.model_copy(update={"trials": 3}))
    again, shown = _run(more)
    assert again.study.start.goal == outcome.study.start.goal, "floors stay as they were settled"
    assert [t.trial_id for t in again.study.trials[:2]] == [t.trial_id for t in outcome.study.trials]


def _run(plan: StudyPlan) -> tuple[Outcome, str]:
    shown = io.StringIO()
    return run_study(plan, view=PlainView(shown), trackers=Trackers(JsonlTracker(plan.out))), shown.getvalue()


def test_objectives_may_have_floors_too() -> None:
    goal = Goal((Objective(FGVC),), {}, {FGVC: Relative("defaults")}).with_references({FGVC: 0.4})
    assert goal.feasible({FGVC: 0.4})
    assert goal.shortfalls({FGVC: 0.3}) == {FGVC: pytest.approx(0.1)}


def test_weights_that_cannot_be_read_teach_nothing_and_are_named(plan: StudyPlan, tmp_path: Path) -> None:
    task, first = a_task(plan)
    train_alone(task, first, "planesnet", tmp_path / "kept")
    assert why_no_teacher(tmp_path / "kept") == ""
    raw = bytearray((tmp_path / "kept" / WEIGHTS).read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "kept" / WEIGHTS).write_bytes(bytes(raw))
    assert "is damaged (its checksum does not match)" in why_no_teacher(tmp_path / "kept")
    (tmp_path / "kept" / WEIGHTS).unlink()
    assert "no checkpoint at" in why_no_teacher(tmp_path / "kept")
