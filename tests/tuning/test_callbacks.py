"""What Tune tells of trials, turned into records: the recorder with real listeners and no Ray."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raytune_planes.errors import UserError
from raytune_planes.records import Action, Decision, End, EpochRecord, TrialRecord
from raytune_planes.settings import flatten, make_config
from raytune_planes.space import Space
from raytune_planes.terminal import Outline, PlainView
from raytune_planes.tracking.base import StudyStart, Trackers
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.reading import read_study, read_trial
from raytune_planes.tuning.budget import Limits, StudyBudget
from raytune_planes.tuning.callbacks import Recorder
from raytune_planes.tuning.cores import CoreTime
from raytune_planes.tuning.judging import is_final
from raytune_planes.tuning.nodes import Node
from raytune_planes.tuning.pools import Needs, Pools
from raytune_planes.tuning.rungs import Rungs
from raytune_planes.tuning.search import Search
from raytune_planes.tuning.stop_requests import STOP, halve_batches, halved, stop_requested
from raytune_planes.tuning.watch import Watch
from tests.tuning.tiny import GOAL, tiny_plan

SAMPLES = 72
"""Of an epoch."""
POOL = {"name": "cpu", "gpus": 0.0, "card": False, "nccl": False, "labels": {}}


class Bench:
    """A recorder and everything that listens to it, and trials that say what they are told to say."""

    def __init__(
        self, folder: Path, limits: Limits | None = None, rungs: Rungs | None = None, free_gib: float = 0.0
    ) -> None:
        self.plan = tiny_plan(folder)
        self.study = self.plan.out / "tiny"
        self.study.mkdir(parents=True)
        self.shown = io.StringIO()
        view, trackers = PlainView(self.shown), Trackers(JsonlTracker(self.plan.out))
        self.search = Search(self.space)
        self.finished: list[str] = []
        self.now_s = 0.0
        self.wish_to_stop = False
        self.interrupted_by: list[str] = []
        self.error = "Traceback:\nActorDied: killed"
        self.recorder = Recorder(
            self.plan.task(self.study),
            self.search,
            trackers,
            view,
            rungs=rungs,
            budget=StudyBudget(limits or Limits(), GOAL, lambda: 0.0),
            finish=lambda: self.finished.append("finish"),
            is_interrupted=lambda: self.wish_to_stop,
            interrupt=self.interrupted_by.append,
            watch=Watch(self.study, stall_minutes=1, free_gib=free_gib, clock=lambda: self.now_s),
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
        trial = SimpleNamespace(config=config, num_failures=3, get_error=lambda: self.error)
        trial.temporary_state = SimpleNamespace(ray_actor=None)
        self.recorder.on_trial_start(0, [], trial)
        return trial

    def epoch(self, trial: Any, number: int, accuracy: float = 0.5, **changes: Any) -> None:
        metrics = {"val/fgvc/accuracy": accuracy, "val/hrplanes/iou": 0.5, "val/planesnet/accuracy": 0.9}
        record = EpochRecord(number, 9 * number, SAMPLES * number, metrics, seconds=1)
        place = {"host": "here", "node": "", "device": "cpu"}
        told = {"record": replace(record, **changes).to_json(), "place": place, "cores": {"busy_s": 2.0 * number}}
        self.recorder.on_trial_result(0, [], trial, told)

    def end(self, trial: Any, end: End, reason: str) -> None:
        self.recorder.on_trial_result(0, [], trial, {"end": end.value, "reason": reason})
        self.recorder.on_trial_complete(0, [], trial)

    def again(self) -> Recorder:
        """The recorder of the driver that takes over."""
        assert self.recorder._rungs is not None
        earlier = read_study(self.study).trials
        rungs = Rungs(GOAL, SAMPLES, 2, budget=10 * SAMPLES)
        rungs.replay(earlier)
        parts = (self.recorder._task, self.search, self.recorder._trackers, self.recorder._view)
        budget = self.recorder._budget
        return Recorder(*parts, rungs=rungs, budget=budget, earlier=earlier, finish=lambda: None)

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
    assert bench.recorder.core_time == {(record.trial_id, 1): CoreTime(2.0)}
    assert "fgvc rests after epoch 1: no gain" in bench.shown.getvalue()
    assert "trial 0 converged: all rest" in bench.shown.getvalue()


def test_a_trial_whose_reason_holds_for_all_others_ends_the_study(bench: Bench) -> None:
    first, second = bench.start(), bench.start()
    told = {"end": "interrupted", "reason": "torch cannot use the card", "ends_study": True}
    bench.recorder.on_trial_result(0, [], first, told)
    assert bench.interrupted_by == ["torch cannot use the card"]
    assert bench.record(first).end is End.INTERRUPTED
    bench.end(second, End.FAILED, "a setting of its own")
    assert bench.interrupted_by == ["torch cannot use the card"]


def test_once_the_study_s_folder_is_gone_nothing_is_decided_that_is_in_no_record(bench: Bench) -> None:
    trial = bench.start()
    bench.epoch(trial, 1)
    bench.study.rename(bench.study.with_name("away"))
    (bench.study / "ray").mkdir(parents=True)  # as Ray does
    for call in (lambda: bench.recorder.on_step_begin(0, []), lambda: bench.end(trial, End.COMPLETED, "all spent")):
        with pytest.raises(UserError, match="tiny is no longer there, .* then continue with --resume tiny"):
            call()
    assert [t.state.name for t in bench.search.trials] == ["RUNNING"]
    assert [p.name for p in bench.study.rglob("*")] == ["ray"]


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
    assert "trial 0 lost a process and continues from epoch 2" in bench.shown.getvalue()


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
    assert stop_requested(bench.folder(worse)) is None, "trial 0 is the baseline"
    third = bench.start()
    bench.epoch(third, 1, accuracy=0.05)
    request = stop_requested(bench.folder(third))
    assert request is not None
    assert request.end is End.PRUNED
    assert request.reason.startswith("after epoch 1: place 3 of 3 at 72 samples")


def test_nobody_is_asked_to_stop_after_the_last_epoch(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rungs=Rungs(GOAL, grace=SAMPLES, reduction=2))
    for accuracy in (0.9, 0.8):
        trial = bench.start()
        bench.epoch(trial, 3, accuracy=accuracy)
    last = bench.start()
    bench.epoch(last, 3, accuracy=0.1)
    assert stop_requested(bench.folder(last)) is None


def test_a_spent_budget_starts_nothing_more_and_interrupts_what_runs(tmp_path: Path) -> None:
    bench = Bench(tmp_path, limits=Limits(samples=2 * SAMPLES))
    first, second = bench.start(), bench.start()
    bench.epoch(first, 1)
    assert not bench.finished
    bench.epoch(second, 1)
    assert bench.finished == ["finish"]
    assert bench.recorder.spent == "144 samples of 144 are spent"
    request = stop_requested(bench.folder(first))
    assert request is not None
    assert (request.end, request.reason) == (End.INTERRUPTED, bench.recorder.spent)


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
    assert stop_requested(bench.folder(trial)) is None


def test_ctrl_c_is_raised_between_two_events(bench: Bench) -> None:
    bench.recorder.on_step_begin(0, [])
    bench.wish_to_stop = True
    with pytest.raises(KeyboardInterrupt):
        bench.recorder.on_step_begin(0, [])


def test_settings_that_do_not_fit_together_are_still_recorded(bench: Bench) -> None:
    trial = SimpleNamespace(config={"trial_id": "x", "number": 7, "drawn": {"model.dit.heads": 3}, "pool": POOL})
    bench.recorder.on_trial_start(0, [], trial)
    assert bench.record(trial).config["model.dit.heads"] == 3


def test_a_trial_that_hangs_ends_as_failed_and_the_others_go_on(bench: Bench) -> None:
    hangs, works = bench.start(), bench.start()
    for bench.now_s in (30, 59):
        bench.epoch(works, int(bench.now_s))
        bench.recorder.on_step_begin(0, [hangs, works])
    assert stop_requested(bench.folder(hangs)) is None
    bench.now_s = 61
    bench.recorder.on_step_begin(0, [hangs, works])
    request = stop_requested(bench.folder(hangs))
    assert request is not None
    assert (request.end, request.reason) == (End.FAILED, "no epoch for 1 minutes: it hangs (study.stall_minutes)")
    assert stop_requested(bench.folder(works)) is None
    bench.recorder.on_trial_error(0, [], hangs)  # its process was killed, and Tune has had enough of it
    assert bench.record(hangs).reason == request.reason
    bench.end(works, End.COMPLETED, "done")
    assert bench.record(works).end is End.COMPLETED


def test_a_disk_that_is_nearly_full_starts_nothing_more_and_lets_trials_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, free_gib=1e6)
    trial = bench.start()
    bench.recorder.on_step_begin(0, [trial])
    bench.recorder.on_step_begin(0, [trial])
    assert bench.finished == ["finish"]
    assert "GiB are free where the results lie, less than 1e+06" in bench.recorder.spent
    assert stop_requested(bench.folder(trial)) is None
    bench.end(trial, End.COMPLETED, "done")
    assert bench.record(trial).end is End.COMPLETED


@pytest.mark.parametrize("error", ["OutOfMemoryError: the node was running low on memory", "RayTaskError: no memory"])
def test_a_trial_that_does_not_fit_goes_on_with_halves_once_and_says_so(bench: Bench, error: str) -> None:
    bench.error = error
    trial = bench.start()
    bench.epoch(trial, 1)
    if "Task" in error:  # the trial noticed it itself
        assert halve_batches(bench.folder(trial), error)
    bench.recorder.on_trial_recover(0, [], trial)
    assert halved(bench.folder(trial))
    assert read_trial(bench.folder(trial))[0].tags["micro_batches"] == "2", "also if the driver dies now"
    assert not halve_batches(bench.folder(trial), "again")
    assert "trial 0 did not fit into memory; it continues with each batch in two halves, from epoch 1" in (
        bench.shown.getvalue()
    )
    bench.end(trial, End.COMPLETED, "done")
    assert bench.record(trial).tags["micro_batches"] == "2"


def test_a_trial_that_lacked_memory_teaches_the_study_and_a_resumed_one_knows_it(bench: Bench) -> None:
    def places() -> Pools:
        return Pools(Needs(gpus=0.25), lambda: [Node(8, 1, "g")])

    bench.recorder._pools = pools = places()
    halving, failing = bench.start(), bench.start()
    for trial in (halving, failing):
        trial.config["pool"] = pools.take(trial.config["trial_id"])
    assert halve_batches(bench.folder(halving), "CUDA out of memory")
    bench.recorder.on_trial_recover(0, [], halving)
    learnt = "did not fit into memory: later trials get 0.5 of a GPU each"
    assert f"trial 0 {learnt}" in bench.shown.getvalue()
    assert pools.needs.gpus == 0.5
    bench.end(failing, End.FAILED, "does not fit into memory: CUDA out of memory")
    assert bench.shown.getvalue().count(learnt) == 1, "the second had the same share"
    bench.end(halving, End.FAILED, "does not fit into memory: CUDA out of memory")
    told = {t.number: t.tags for t in read_study(bench.study).trials}
    assert (told[0]["later_gpus"], told[0]["micro_batches"]) == ("0.5", "2")
    assert "later_gpus" not in told[1]

    resumed, shown = places(), io.StringIO()
    earlier = read_study(bench.study).trials
    Recorder(
        bench.plan.task(bench.study),
        bench.search,
        Trackers(),
        PlainView(shown),
        rungs=None,
        budget=StudyBudget(Limits(), GOAL, lambda: 0.0),
        earlier=earlier,
        finish=lambda: None,
        pools=resumed,
    )
    assert resumed.needs.gpus == 0.5
    assert shown.getvalue() == f"trial 0 {learnt}\n"


def test_what_a_trial_says_reaches_people(bench: Bench) -> None:
    trial = bench.start()
    bench.recorder.on_trial_result(0, [], trial, {"note": "trial 0 starts from the beginning"})
    assert "trial 0 starts from the beginning" in bench.shown.getvalue()


def test_a_stop_that_its_driver_did_not_live_to_deliver_is_delivered(tmp_path: Path) -> None:
    rungs = Rungs(GOAL, SAMPLES, 2, budget=10 * SAMPLES)
    bench = Bench(tmp_path, rungs=rungs)
    trials = [bench.start() for _ in range(3)]
    for number, accuracy in ((0, 0.5), (1, 0.9), (2, 0.1)):
        bench.epoch(trials[number], 1, accuracy)
    (bench.folder(trials[2]) / STOP).unlink()
    again = bench.again()
    again.on_trial_start(0, [], trials[2])
    request = stop_requested(bench.folder(trials[2]))
    assert request is not None
    assert request.end is End.PRUNED


@pytest.mark.parametrize(
    ("epoch", "stage", "resting", "final"),
    [
        (2, "one", ("fgvc",), False),  # the first stage ends, the training goes on
        (3, "two", (), False),
        (3, "two", ("fgvc", "hrplanes", "planesnet"), True),
        (3, "two", ("fgvc", "hrplanes"), False),
        (4, "two", (), True),
    ],
)
def test_the_last_epoch_of_the_last_stage_is_final(
    epoch: int, stage: str, resting: tuple[str, ...], final: bool
) -> None:
    stages = {"stages.one.budget.epochs": 2, "stages.two.budget.epochs": 2}
    own = {f"stages.one.datasets.{name}.enabled": False for name in ("planesnet", "hrplanes")}
    config = flatten(make_config({"plan": "one, two", **stages, **own}))
    record = TrialRecord("t", 1, {}, config, (EpochRecord(epoch, 9, 72, {}, resting=resting, stage=stage),))
    assert is_final(record) is final
