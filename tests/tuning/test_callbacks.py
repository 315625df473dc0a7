"""What Tune tells of trials, turned into records: the recorder with real listeners and no Ray."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raytune_planes.records import Action, Decision, End, EpochRecord
from raytune_planes.space import Space
from raytune_planes.terminal import Outline, PlainView
from raytune_planes.tracking.base import StudyStart, Trackers
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.reading import read_study
from raytune_planes.tuning.budget import Limits, StudyBudget
from raytune_planes.tuning.callbacks import Recorder
from raytune_planes.tuning.rungs import Rungs
from raytune_planes.tuning.search import Search
from raytune_planes.tuning.wishes import STOP, stop_wished
from tests.tuning.tiny import GOAL, tiny_plan

SAMPLES = 72
"""Of an epoch."""
POOL = {"name": "cpu", "gpus": 0.0, "nccl": False, "labels": {}}


class Bench:
    """A recorder and everything that listens to it, and trials that say what they are told to say."""

    def __init__(self, folder: Path, limits: Limits | None = None, rungs: Rungs | None = None) -> None:
        self.plan = tiny_plan(folder)
        self.study = self.plan.out / "tiny"
        self.study.mkdir(parents=True)
        self.shown = io.StringIO()
        view, trackers = PlainView(self.shown), Trackers(JsonlTracker(self.plan.out))
        self.search = Search(self.space)
        self.finished: list[str] = []
        self.wish_to_stop = False
        self.recorder = Recorder(
            self.plan.task(self.study),
            self.search,
            trackers,
            view,
            rungs=rungs,
            budget=StudyBudget(limits or Limits(), GOAL, lambda: 0.0),
            finish=lambda: self.finished.append("finish"),
            is_interrupted=lambda: self.wish_to_stop,
        )
        trackers.start_study(StudyStart("tiny", GOAL))
        view.start(Outline("tiny", GOAL, {"fgvc": "val/fgvc/accuracy"}, 3, 3))

    @property
    def space(self) -> Space:
        return self.plan.space

    def start(self) -> Any:
        asked = self.search.ask()
        assert asked is not None
        config = {"trial_id": asked.trial_id, "number": asked.number, "drawn": asked.drawn, "pool": POOL}
        trial = SimpleNamespace(config=config, num_failures=3, get_error=lambda: "Traceback:\nActorDied: killed")
        self.recorder.on_trial_start(0, [], trial)
        return trial

    def epoch(self, trial: Any, number: int, accuracy: float = 0.5, **changes: Any) -> None:
        metrics = {"val/fgvc/accuracy": accuracy, "val/hrplanes/iou": 0.5, "val/planesnet/accuracy": 0.9}
        record = EpochRecord(number, 9 * number, SAMPLES * number, metrics, seconds=1)
        place = {"host": "here", "node": "", "device": "cpu"}
        told = {"record": replace(record, **changes).to_json(), "place": place, "cpu_seconds": 2.0 * number}
        self.recorder.on_trial_result(0, [], trial, told)

    def end(self, trial: Any, end: End, reason: str) -> None:
        self.recorder.on_trial_result(0, [], trial, {"end": end.value, "reason": reason})
        self.recorder.on_trial_complete(0, [], trial)

    def record(self, trial: Any) -> Any:
        return next(t for t in read_study(self.study).trials if t.trial_id == trial.config["trial_id"])

    def folder(self, trial: Any) -> Path:
        return self.study / "trials" / f"{trial.config['number']:04d}-{trial.config['trial_id']}"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_every_event_reaches_files_search_and_people(bench: Bench) -> None:
    trial = bench.start()
    rest = Decision("fgvc", Action.REST, 1, "no gain")
    bench.epoch(trial, 1, resting=("fgvc",), decisions=(rest,))
    bench.end(trial, End.CONVERGED, "all rest")

    record = bench.record(trial)
    assert (record.end, record.reason, record.tags["host"]) == (End.CONVERGED, "all rest", "here")
    assert record.epochs[0].decisions == (rest,)
    assert record.config["budget.epochs"] == 3
    assert [t.state.name for t in bench.search.trials] == ["COMPLETE"]
    assert bench.recorder.cpu_seconds == {record.trial_id: 2.0}
    assert "fgvc rests after epoch 1: no gain" in bench.shown.getvalue()
    assert "trial 0 converged: all rest" in bench.shown.getvalue()


def test_an_epoch_that_is_trained_again_counts_once(bench: Bench) -> None:
    trial = bench.start()
    bench.epoch(trial, 1)
    bench.epoch(trial, 2)
    bench.recorder.on_trial_recover(0, [], trial)
    bench.recorder.on_trial_start(0, [], trial)
    bench.epoch(trial, 2)
    bench.epoch(trial, 3)
    bench.end(trial, End.COMPLETED, "budget")
    assert [e.epoch for e in bench.record(trial).epochs] == [1, 2, 3]
    assert "trial 0 lost a process and goes on from epoch 2" in bench.shown.getvalue()


def test_a_trial_whose_process_is_lost_for_good_has_failed(bench: Bench) -> None:
    trial = bench.start()
    bench.epoch(trial, 1)
    bench.recorder.on_trial_error(0, [], trial)
    record = bench.record(trial)
    assert (record.end, record.reason) == (End.FAILED, "lost 3 times: ActorDied: killed")
    assert len(record.epochs) == 1
    assert [t.state.name for t in bench.search.trials] == ["FAIL"]


def test_a_trial_that_ends_without_a_word_has_failed(bench: Bench) -> None:
    trial = bench.start()
    bench.recorder.on_trial_complete(0, [], trial)
    assert bench.record(trial).reason == "ended without a word of its training"


def test_a_trial_that_falls_behind_is_asked_to_stop_and_the_defaults_never_are(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rungs=Rungs(GOAL, grace=SAMPLES, reduction=2, budget=3 * SAMPLES))
    worse, better = bench.start(), bench.start()
    bench.epoch(better, 1, accuracy=0.9)
    bench.epoch(worse, 1, accuracy=0.1)
    assert stop_wished(bench.folder(worse)) is None, "trial 0 is the baseline"
    third = bench.start()
    bench.epoch(third, 1, accuracy=0.05)
    wish = stop_wished(bench.folder(third))
    assert wish is not None
    assert wish.end is End.PRUNED
    assert "at 72 samples: place 3 of 3" in wish.reason


def test_nobody_is_asked_to_stop_after_the_last_epoch(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rungs=Rungs(GOAL, grace=SAMPLES, reduction=2))
    for accuracy in (0.9, 0.8):
        trial = bench.start()
        bench.epoch(trial, 3, accuracy=accuracy)
    last = bench.start()
    bench.epoch(last, 3, accuracy=0.1)
    assert stop_wished(bench.folder(last)) is None


def test_a_spent_budget_starts_nothing_more_and_interrupts_what_runs(tmp_path: Path) -> None:
    bench = Bench(tmp_path, limits=Limits(samples=2 * SAMPLES))
    first, second = bench.start(), bench.start()
    bench.epoch(first, 1)
    assert not bench.finished
    bench.epoch(second, 1)
    assert bench.finished == ["finish"]
    assert bench.recorder.spent == "144 samples of 144 are spent"
    wish = stop_wished(bench.folder(first))
    assert wish is not None
    assert (wish.end, wish.reason) == (End.INTERRUPTED, bench.recorder.spent)


def test_what_runs_when_the_study_closes_is_interrupted_and_stays_open_for_the_search(bench: Bench) -> None:
    ended, running = bench.start(), bench.start()
    bench.end(ended, End.FAILED, "why not")
    bench.epoch(running, 1)
    bench.recorder.close("Ctrl-C")
    assert bench.record(ended).end is End.FAILED
    assert (bench.record(running).end, bench.record(running).reason) == (End.INTERRUPTED, "Ctrl-C")
    assert [s.trial_id for s in bench.search.running()] == [running.config["trial_id"]]


def test_a_wish_from_before_does_not_stop_a_resumed_trial(bench: Bench) -> None:
    asked = bench.search.ask()
    assert asked is not None
    trial = SimpleNamespace(
        config={"trial_id": asked.trial_id, "number": asked.number, "drawn": asked.drawn, "pool": POOL}
    )
    bench.folder(trial).mkdir(parents=True)
    (bench.folder(trial) / STOP).write_text('{"end": "interrupted", "reason": "hours"}')
    bench.recorder.on_trial_start(0, [], trial)
    assert stop_wished(bench.folder(trial)) is None


def test_ctrl_c_is_raised_between_two_events(bench: Bench) -> None:
    bench.recorder.on_step_begin(0, [])
    bench.wish_to_stop = True
    with pytest.raises(KeyboardInterrupt):
        bench.recorder.on_step_begin(0, [])


def test_settings_that_do_not_fit_together_are_still_recorded(bench: Bench) -> None:
    trial = SimpleNamespace(config={"trial_id": "x", "number": 7, "drawn": {"model.dit.heads": 3}, "pool": POOL})
    bench.recorder.on_trial_start(0, [], trial)
    assert bench.record(trial).config["model.dit.heads"] == 3
