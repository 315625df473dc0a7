"""Turns what Ray Tune tells of trials into records, and hands each to those who listen: files first, then people."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import tune

from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.terminal import View
from raytune_planes.tracking.base import Trackers
from raytune_planes.tracking.files import WEIGHTS
from raytune_planes.tracking.reading import epochs_digest
from raytune_planes.tuning import reaper
from raytune_planes.tuning.budget import StudyBudget
from raytune_planes.tuning.cores import CoreTime
from raytune_planes.tuning.failures import NO_MEMORY
from raytune_planes.tuning.fitting import learn_from
from raytune_planes.tuning.judging import is_final
from raytune_planes.tuning.pools import Pools, missing_card
from raytune_planes.tuning.promoting import continued
from raytune_planes.tuning.recovering import HALVED, error_of, recovered
from raytune_planes.tuning.rungs import Rungs
from raytune_planes.tuning.search import Search
from raytune_planes.tuning.stop_requests import forget, stop_requested, stop_trial
from raytune_planes.tuning.trial import ERROR, Task
from raytune_planes.tuning.watch import Watch


class Recorder(tune.Callback):
    """Keeps the study's trials and decides, with ``rungs`` and ``budget``, which of them continue.

    Tune calls it in the driver's main thread. A trial waits while its epoch is dealt with here, so that a trial that
    is pruned stops after the very epoch that said so.
    """

    def __init__(
        self,
        task: Task,
        search: Search,
        trackers: Trackers,
        view: View,
        *,
        rungs: Rungs | None,
        budget: StudyBudget,
        earlier: Sequence[TrialRecord] = (),
        finish: Callable[[], None],
        is_interrupted: Callable[[], bool] = lambda: False,
        interrupt: Callable[[str], None] = lambda _: None,
        each_step: Callable[[], None] = lambda: None,
        pools: Pools | None = None,
        watch: Watch | None = None,
    ) -> None:
        """``earlier``: trials of previous runs of the study. ``finish``: called once, when nothing more may start.
        ``interrupt``: called with the reason when the study cannot go on here."""
        self.trials = {t.trial_id: t for t in earlier}
        self.spent = ""
        """Which limit of the budget ended the study."""
        self.core_time: dict[tuple[str, int], CoreTime] = {}
        """Of the trials of this run, by id and turn."""
        self._task, self._search, self._trackers, self._view = task, search, trackers, view
        self._rungs, self._budget, self._finish = rungs, budget, finish
        self._is_interrupted, self._interrupt, self._each_step = is_interrupted, interrupt, each_step
        self._pools, self._watch = pools, watch or Watch()
        self._here: set[str] = set()
        self._open: dict[str, TrialRecord] = {}  # those that run: at each step they are looked through
        self._first_s = self._last_s = time.monotonic()
        for trial in earlier:
            learn_from(trial, pools, view.note)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore that is never asked of it; locks cannot go along."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Raises KeyboardInterrupt, where all records are whole: it was wished, or no host is left for what waits."""
        if self._is_interrupted():
            raise KeyboardInterrupt
        self._watch.folder()
        self._each_step()
        self._view.tick()
        for notice in self._watch.hosts():
            self._view.note(notice)
        if self._pools:
            is_running = any(t.status == "RUNNING" for t in reversed(trials))  # those that ended come first
            waiting = set() if is_running else {t.config["pool"]["name"] for t in trials if t.status == "PENDING"}
            self._pools.check(waiting, is_running=is_running)
        self._check_budget()
        if not self.spent and (full := self._watch.disk()):
            self.spent = full  # running trials continue to their end
            self._finish()
            self._view.note(full)
        for record in self._running():
            if silent := self._watch.silence(record.trial_id):
                stop_trial(self._folder(record), End.FAILED, silent)
                reaper.kill(next(t for t in trials if t.config["trial_id"] == record.trial_id))

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        configured = trial.config
        self._watch.reported(configured["trial_id"])
        known = self.trials.get(configured["trial_id"])
        is_promoted = known is not None and known.end is End.PAUSED
        if configured["trial_id"] in self._here and not is_promoted:
            return  # Tune tries it again after a lost process
        if not self._here:
            self._first_s = time.monotonic()
        self._here.add(configured["trial_id"])
        record = TrialRecord(
            trial_id=configured["trial_id"],
            number=configured["number"],
            drawn=configured["drawn"],
            config=self._task.settings(configured["drawn"]),
            epochs=known.epochs if known else (),
            started_ms=known.started_ms if known else _now_ms(),
            tags=(dict(known.tags) if known else {}) | {"pool": configured["pool"]["name"]},
        )
        forget(self._folder(record))
        stopped = self._rungs.stopped(record.number) if self._rungs and not is_promoted else None
        if stopped and stopped.stop and record.epochs and not is_final(record):
            stop_trial(self._folder(record), stopped.end, stopped.reason)  # the driver died before it arrived
        self._keep(record)
        self._trackers.start_trial(record)
        self._view.trial_started(record)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        record = self.trials[trial.config["trial_id"]]
        self._watch.reported(record.trial_id)
        if "note" in result:
            self._view.note(result["note"])
        elif "end" in result:
            if str(result["reason"]).startswith(NO_MEMORY):
                record = learn_from(record, self._pools, self._view.note, trial.config["pool"])
            self._end(record, End(result["end"]), result["reason"])
            if result.get("ends_study"):
                self._interrupt(result["reason"])
        elif "record" in result:
            self.core_time[record.trial_id, trial.config.get("turn", 1)] = CoreTime(**result["cores"])
            self._epoch(record, EpochRecord.from_json(result["record"]), result["place"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        record = self.trials[trial.config["trial_id"]]
        if record.end is End.RUNNING:
            self._end(record, End.FAILED, "ended without a word of its training")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        reaper.reap(trial.config["trial_id"])
        if trial.config["trial_id"] not in self.trials:
            self.on_trial_start(iteration, trials, trial)
        record = self.trials[trial.config["trial_id"]]
        last = (error_of(trial) or "its process was lost").strip().splitlines()
        request = stop_requested(self._folder(record))
        hung = request is not None and request.end is End.FAILED
        reason = request.reason if request and hung else f"lost {trial.num_failures} times: {last[-1][:300]}"
        self._end(record, End.FAILED, reason)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        reaper.reap(trial.config["trial_id"])
        record = self.trials.get(trial.config["trial_id"])
        if record is not None:
            after, note = recovered(record, self._folder(record), error_of(trial))
            is_new = HALVED in after.tags and HALVED not in record.tags
            after = learn_from(after, self._pools, self._view.note, trial.config["pool"]) if is_new else after
            self._keep(after)
            if after.tags != record.tags:
                self._trackers.start_trial(after)  # else a driver that dies forgets them
            self._view.note(note)

    def promoted(self, is_last: bool) -> str | None:
        """The paused trial to continue now, by its id; None for none. ``is_last``: there are no new trials."""
        return continued(self._rungs, self.trials.values(), is_last=is_last)

    def take_rungs(self, rungs: Rungs | None) -> None:
        """Judge trials by ``rungs`` from now on, which know the trials so far."""
        self._rungs = rungs

    @property
    def seconds(self) -> float:
        """Wall-clock time from the first start of a trial to the last end of one, in this run."""
        return self._last_s - self._first_s

    def close(self, reason: str) -> None:
        """The study stops here: what still runs can be resumed."""
        for record in self._running():
            self._end(record, End.INTERRUPTED, reason)

    def _epoch(self, record: TrialRecord, epoch: EpochRecord, place: Mapping[str, str]) -> None:
        known = {e.epoch: e for e in record.epochs}
        if epoch.epoch in known and epochs_digest([epoch]) == epochs_digest([known[epoch.epoch]]):
            return  # trained again after a resume, with the same result
        is_new = all(number < epoch.epoch for number in known)
        known[epoch.epoch] = epoch
        record = replace(record, epochs=tuple(known[n] for n in sorted(known)), tags={**record.tags, **place})
        if len(record.epochs) == 1 and (missing := missing_card(record)):
            self._view.note(missing)
        self._keep(record)
        self._trackers.log_epoch(record.trial_id, epoch)
        self._search.report(record.trial_id, epoch)
        self._view.epoch(record, epoch)
        # An epoch that was missing, or recorded otherwise, is behind the rung that the trial stands at.
        judges = self._rungs if is_new else None
        if judges and (verdict := judges.judge(record.number, epoch, final=is_final(record))).stop:
            stop_trial(self._folder(record), verdict.end, verdict.reason)
        self._check_budget()

    def _end(self, record: TrialRecord, end: End, reason: str) -> None:
        self._watch.folder()  # else the search would be told of an end that is in no record
        self._last_s = time.monotonic()
        record = replace(record, end=end, reason=reason, ended_ms=_now_ms())
        self._keep(record)
        folder = self._folder(record)
        kept = () if end is End.PAUSED else (folder / WEIGHTS, folder / ERROR)
        self._trackers.end_trial(record, [path for path in kept if path.is_file()])
        self._search.tell(record)
        self._view.trial_ended(record)
        self._check_budget()

    def _check_budget(self) -> None:
        if self.spent or not (spent := self._budget.ended(self.trials.values())):
            return
        self.spent = spent
        self._finish()
        for record in self._running():
            stop_trial(self._folder(record), End.INTERRUPTED, spent)

    def _running(self) -> list[TrialRecord]:
        return list(self._open.values())

    def _keep(self, record: TrialRecord) -> None:
        self.trials[record.trial_id] = record
        if record.end is End.RUNNING and record.trial_id in self._here:
            self._open[record.trial_id] = record
        else:
            self._open.pop(record.trial_id, None)

    def _folder(self, record: TrialRecord) -> Path:
        return self._task.folder(record.number, record.trial_id)


def _now_ms() -> int:
    return int(time.time() * 1000)
