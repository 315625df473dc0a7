"""A study that was interrupted while its trials waited for datasets that are trained alone goes on with these."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.floors import Relative
from raytune_planes.processors import allowed
from raytune_planes.records import Goal
from raytune_planes.terminal import PlainView
from raytune_planes.tracking.base import Trackers
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tuning.study import run_study
from tests.tuning.tiny import GOAL, tiny_plan

IOU = "val/hrplanes/iou"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_resumed_study_trains_what_its_trials_wait_for_before_it_asks_for_one(tmp_path: Path) -> None:
    goal = Goal(GOAL.objectives, {}, {IOU: Relative("alone", -0.02)})
    plan = tiny_plan(tmp_path, trials=1, concurrent=1, cpus_per_worker=allowed())
    begun = replace(plan, space=replace(plan.space, goal=goal))
    more = replace(begun, references=True, settings=plan.settings.model_copy(update={"trials": 2}))
    shown = [io.StringIO(), io.StringIO()]
    first, second = (
        run_study(part, view=PlainView(to), trackers=Trackers(JsonlTracker(plan.out)))
        for part, to in zip((begun, more), shown, strict=True)
    )
    assert first.study.start.goal.floors == {}, shown[0].getvalue()
    assert second.reason == "2 trials of 2 are done", shown[1].getvalue()
    reached = second.study.alone["hrplanes"][IOU]
    assert second.study.start.goal.floors == {IOU: pytest.approx(max(0.0, reached - 0.02))}
