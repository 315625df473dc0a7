"""A study from its plan to its end: Ray Tune asks our search, runs the trials, and every event becomes a record."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from raytune_planes.datasets import early
from raytune_planes.records import End, TrialRecord
from raytune_planes.space import long_in_all
from raytune_planes.terminal import View
from raytune_planes.tracking import files, reading
from raytune_planes.tracking.base import StudyEnd, Trackers
from raytune_planes.tuning import mps, ray_hooks, reaper
from raytune_planes.tuning.budget import Limits, StudyBudget, final_seconds, needs_defaults, trained_seconds
from raytune_planes.tuning.callbacks import Recorder
from raytune_planes.tuning.cluster import Cluster, connected
from raytune_planes.tuning.cores import CoreTime
from raytune_planes.tuning.daemons import Guard, resumable
from raytune_planes.tuning.earlier import recover
from raytune_planes.tuning.fitting import fit_machine
from raytune_planes.tuning.interrupt import Interrupt
from raytune_planes.tuning.judging import rungs_of
from raytune_planes.tuning.keeping import Keeper
from raytune_planes.tuning.lease import Lease
from raytune_planes.tuning.nodes import nodes_now
from raytune_planes.tuning.outline import outline_of
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.pools import Pools
from raytune_planes.tuning.references import References, settled, with_floors
from raytune_planes.tuning.searcher import TuneSearcher
from raytune_planes.tuning.sharing import blind_hosts, warning_of
from raytune_planes.tuning.trial import run_trial
from raytune_planes.tuning.watch import Watch, is_there

DRIVER_MEMORY_BYTES = 200 * 2**20
"""What the trial's own process asks for when workers do the training: CPUs asked here would be missing there."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a study."""

    study: reading.StudyFiles  # all its records, as read back from its folder
    reason: str  # which limit ended it, or what stopped it
    interrupted: bool
    seconds: float  # wall-clock, from the first trial of this run to the end of the last
    used: CoreTime
    """Of the trials of this run."""
    cores: float
    """Processors that they could have used at once."""
    idle_gpus: str
    """Those that no trial could have used, in words (``Pools.idle_gpus``)."""

    @property
    def parallelism(self) -> str:
        """``1.8 of 2 cores busy (90 %)``."""
        return self.used.of(self.cores, self.seconds) + self.idle_gpus


def run_study(plan: StudyPlan, *, view: View, trackers: Trackers) -> Outcome:
    """Run a study to its end, or continue the one that its folder holds.

    Ctrl-C and SIGTERM end it in good order: unfinished trials are interrupted, and the same plan continues them.

    Raises:
        UserError: a trial does not fit into the cluster, the disk is too small, another driver runs the study, or the
            folder cannot be written or holds a study of another space.
    """
    folder = files.study_folder(plan.out, plan.name)
    with (
        connected() as cluster,
        Interrupt() as interrupt,
        Guard(cluster, interrupt.ask, resumable(view, plan.name, plan.out)),
    ):
        pools = Pools(plan.needs, nodes_now, plan.concurrent)
        with Lease(folder, interrupt.ask):
            told = *fit_machine(pools, plan, cluster, folder), *mps.told(pools.needs.gpus, os.environ)
            for note in (*cluster.notes, *told):
                view.note(note)
            if blind := blind_hosts(folder):
                view.note(warning_of(folder, blind.values()))
                pools.avoid(blind)
            return _Study(plan, folder, view, trackers, interrupt, pools).run(cluster)


class _Study:
    """One run of a study: what was there before, the parts that work together, and their end."""

    _recorder: Recorder

    def __init__(
        self, plan: StudyPlan, folder: Path, view: View, trackers: Trackers, interrupt: Interrupt, pools: Pools
    ) -> None:
        self._folder, self._view = folder, view
        self._settled, self._pools, self._interrupt, self._short = False, pools, interrupt, ""
        self._plan = plan = settled(plan, folder)
        self._search, self._earlier, going_on = recover(plan, folder, view.note)
        keeper = Keeper(folder, plan.settings.keep, view.note, self._earlier)  # the last: what ends is on disk by then
        self._trackers = trackers = Trackers(*trackers.trackers, keeper)
        # Without promotion Tune hears of the end at once.
        promoted = (lambda last: self._recorder.promoted(last)) if plan.settings.rungs.promotes else None
        self._searcher = TuneSearcher(
            self._search, pools, resume=going_on, may_start=self._may_start, promoted=promoted
        )
        self._task = plan.task(folder)
        self._references = References(plan, self._task, folder, view, lambda: interrupt.requested)
        goal, spent = plan.space.goal, trained_seconds(self._earlier)
        one_by_one = pools.at_once == 1 or needs_defaults(goal)
        final = partial(final_seconds, epochs=long_in_all(plan.space, plan.final), one_by_one=one_by_one)
        self._budget = StudyBudget(Limits.of(plan.settings), goal, time.monotonic, spent, final)
        self._recorder = Recorder(
            self._task,
            self._search,
            trackers,
            view,
            rungs=rungs_of(plan, self._earlier),
            budget=self._budget,
            earlier=self._earlier,
            finish=self._searcher.finish,
            is_interrupted=lambda: interrupt.requested,
            interrupt=interrupt.ask,
            each_step=self._each_step,
            pools=pools,
            watch=Watch(folder, stall_minutes=plan.settings.stall_minutes, free_gib=plan.settings.free_gib),
        )

    def run(self, cluster: Cluster) -> Outcome:
        cores = float(self._pools.at_once * self._plan.workers * self._plan.cpus_per_worker)
        idle_gpus = self._pools.idle_gpus
        self._trackers.start_study(self._plan.as_record())
        self._view.start(outline_of(self._plan, self._folder, self._pools, cluster, self._earlier))
        end, reason = End.FAILED, "the driver broke down"
        try:
            self._search.wait_while(lambda: self._interrupt.requested)
            self._tune()
            self._references.finish(self._pools.at_once)
            end, reason = End.COMPLETED, self._recorder.spent or self._short or self._all_ended()
        except KeyboardInterrupt as wish:
            end, reason = End.INTERRUPTED, str(wish) or self._interrupt.reason
        except BaseException as error:
            Watch(self._folder).folder()  # where it is gone, that is why
            reason = f"the driver broke down: {type(error).__name__}: {error}"
            raise
        finally:
            self._references.stop()
            if is_there(self._folder):
                self._recorder.close(reason)
                self._trackers.end_study(StudyEnd(end, reason, int(time.time() * 1000)))
            self._view.stop()
        return Outcome(
            study=reading.read_study(self._folder),
            reason=reason,
            interrupted=end is End.INTERRUPTED,
            seconds=self._recorder.seconds,
            used=sum(self._recorder.core_time.values(), CoreTime()),
            cores=cores,
            idle_gpus=idle_gpus,
        )

    @property
    def _ended_defaults(self) -> TrialRecord | None:
        """Trial 0 once it has ended."""
        ended = (t for t in self._recorder.trials.values() if t.end not in (End.RUNNING, End.INTERRUPTED))
        return next((t for t in ended if t.number == 0), None)

    @property
    def _waits(self) -> bool:
        """Whether trials after the defaults wait for datasets that are trained alone."""
        needed = self._plan.teachers or (self._plan.space.goal.unknown and not self._settled)
        return bool(needed) and not self._references.ready

    def _may_start(self) -> bool:
        """Whether trials after the defaults may start: neither a floor nor a trial waits for a reference any more."""
        if self._plan.space.goal.unknown and not self._settled and not self._waits:
            if self._ended_defaults is None:
                return False
            self._settle(self._ended_defaults)
        return not self._waits

    def _all_ended(self) -> str:
        paused = sum(trial.end is End.PAUSED for trial in self._recorder.trials.values())
        return f"all trials have ended ({self._plan.settings.trials}{f', of them {paused} paused' if paused else ''})"

    def _settle(self, defaults: TrialRecord) -> None:
        """Floors that follow a reference become numbers, for all that judge by them."""
        self._settled = True
        self._plan = plan = with_floors(self._plan, defaults, self._references.metrics)
        self._search.goal = goal = plan.space.goal
        self._budget.take_goal(goal)
        self._recorder.take_rungs(rungs_of(plan, tuple(self._recorder.trials.values())))
        self._trackers.start_study(plan.as_record())
        self._view.goal(goal)
        for key in goal.relative:
            unknown = "is not applied: its reference has no result"
            known = f"is {goal.floors[key]:.4f}" if key in goal.floors else unknown
            self._view.note(f"the floor of {key}, {goal.relative[key]}, {known}")

    def _each_step(self) -> None:
        """Datasets are trained alone beside the trials, and leave a place to the defaults, which all wait for."""
        if reason := early.broken():
            self._interrupt.ask(reason)
        self._references.advance(self._pools.at_once - (self._ended_defaults is None))
        short = "" if self._short else self._budget.short_of_time(self._recorder.trials.values())
        if short and self._searcher.begin_no_more():
            self._view.note(short)
            self._short = short

    def _tune(self) -> None:
        from ray import tune

        plan, alone = self._plan, self._plan.workers == 1

        def resources(suggested: dict[str, Any]) -> tune.PlacementGroupFactory:
            if not alone:
                return tune.PlacementGroupFactory([{"memory": DRIVER_MEMORY_BYTES}])
            pool = suggested["pool"]
            here = {"CPU": float(plan.cpus_per_worker), "GPU": pool["gpus"]}
            return tune.PlacementGroupFactory([here], bundle_label_selector=[pool["labels"]])

        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(run_trial, task=self._task), resources),
            tune_config=tune.TuneConfig(
                search_alg=self._searcher,
                num_samples=-1,
                max_concurrent_trials=self._pools.at_once,
                # A process that has imported torch takes the next trial; one that led a worker group does not.
                reuse_actors=alone,
                trial_dirname_creator=lambda trial: "{number:04d}-{trial_id}-{turn}".format(**trial.config),
            ),
            run_config=tune.RunConfig(
                storage_path=str((self._folder / "ray").resolve()),
                name=f"tune-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}",
                verbose=0,
                callbacks=[self._recorder],
                failure_config=tune.FailureConfig(max_failures=plan.retries),
                log_to_file=False,
            ),
        )
        if plan.references:
            self._references.start(self._pools.now[0].gpus, self._pools.at_once, self._pools.has_cards)
        if self._waits and self._ended_defaults:  # resumed: no trial may start, and Tune only asks for one meanwhile
            self._references.finish(self._pools.at_once)
        with ray_hooks.processes(unless=lambda: self._waits), nullcontext() if alone else reaper.registry():
            tuner.fit()
