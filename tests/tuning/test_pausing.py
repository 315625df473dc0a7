"""Trials that pause and continue through Ray, beside the same trials that never pause."""

from __future__ import annotations

import io
import os
import re
import signal
from pathlib import Path

import pytest

from raytune_planes.records import End, TrialRecord
from raytune_planes.space import RungSettings, StudySettings
from raytune_planes.terminal import PlainView
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.study import Outcome, run_study
from tests.tracking.stores import runs, tracked
from tests.tuning.tiny import tiny_plan, trained_alone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray leaves pipes to its processes for the collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the same, told by pytest
]
TRIALS, EPOCHS = 7, 4


class Watches(PlainView):
    """Keeps what happened, and presses Ctrl-C when a trial goes on from a pause, if asked."""

    def __init__(self, stream: io.StringIO, *, interrupts: bool = False) -> None:
        super().__init__(stream)
        self.interrupts = interrupts
        self.events: list[tuple[int, str]] = []
        self.hosts: dict[int, set[str]] = {}

    def trial_started(self, trial: TrialRecord) -> None:
        super().trial_started(trial)
        self.events.append((trial.number, "continues" if trial.epochs else "starts"))
        if self.interrupts and trial.epochs:
            os.kill(os.getpid(), signal.SIGINT)

    def trial_ended(self, trial: TrialRecord) -> None:
        super().trial_ended(trial)
        self.events.append((trial.number, str(trial.end)))


def run(plan: StudyPlan, view: Watches) -> Outcome:
    return run_study(plan, view=view, trackers=tracked(plan.out))


def test_paused_trials_continue_bit_for_bit_also_in_a_resumed_study(tmp_path: Path) -> None:
    rungs = RungSettings(rule="promote", grace=1 / EPOCHS, reduction=2)
    settings = StudySettings(trials=TRIALS, rungs=rungs, sampler="random")
    fixed = {"budget.epochs": EPOCHS, "stopping.rule": "none"}
    plan = tiny_plan(tmp_path, fixed=fixed, settings=settings, concurrent=2)

    shown = io.StringIO()
    first = Watches(shown, interrupts=True)
    before = run(plan, first)
    assert before.interrupted
    paused = {n for n, event in first.events if event == "paused"}
    assert paused
    assert re.search(r"trial \d paused: after epoch 1: place \d of \d at \d+ samples, \d go(es)? on", shown.getvalue())

    second = Watches(io.StringIO())
    outcome = run(plan, second)

    assert not outcome.interrupted
    trials = outcome.study.trials
    assert [t.number for t in trials] == list(range(TRIALS))
    anew = [
        t.number for t in before.study.trials if not t.epochs
    ]  # interrupted before there was anything to go on from
    starts = [n for n, event in [*first.events, *second.events] if event == "starts"]
    assert sorted(starts) == sorted([*range(TRIALS), *anew])
    assert {t.end for t in trials} == {End.COMPLETED, End.PAUSED}
    continued = {n for n, event in [*first.events, *second.events] if event == "continues"}
    assert any(trials[n].end is End.COMPLETED for n in continued), "one that had paused was trained to its end"
    for trial in trials:
        alone = trained_alone(plan, trial)
        assert [e.epoch for e in trial.epochs] == list(range(1, len(trial.epochs) + 1))
        assert told(trial.epochs) == told(alone[: len(trial.epochs)]), f"trial {trial.number}"
    assert outcome.reason.endswith(f"of them {sum(t.end is End.PAUSED for t in trials)} paused)")
    found = [run for run in runs(connect(default_uri(plan.out))) if "trial" in run.data.tags]
    tags = {run.data.tags["trial"]: (run.data.tags["end"], run.info.status) for run in found}
    status = {End.PAUSED: "SCHEDULED", End.COMPLETED: "FINISHED"}
    assert tags == {str(t.number): (str(t.end), status[t.end]) for t in trials}


def told(epochs: object) -> list[tuple[int, dict[str, float]]]:
    return [(e.samples, dict(e.metrics)) for e in epochs]  # type: ignore[attr-defined]
