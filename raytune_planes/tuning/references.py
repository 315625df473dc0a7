"""What each dataset reaches when it is trained alone: the reference for transfer, and for floors that follow it."""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_planes.catalog import primary_metric
from raytune_planes.config import TrialConfig
from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord, metric
from raytune_planes.settings import Value, flatten, make_config, only
from raytune_planes.tracking.files import CONFIG, LAST, REFERENCES, SHARED, load_json, save_json, write_whole
from raytune_planes.tracking.jsonl import dotted_yaml
from raytune_planes.tracking.reading import MALFORMED, DamagedFile, read_ends
from raytune_planes.training.checkpoint import Checkpoint, load
from raytune_planes.training.folds import train_trial
from raytune_planes.training.mixing import Mixer
from raytune_planes.tuning.failures import explain
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.trial import Task

if TYPE_CHECKING:
    import ray

RESULT = "result.json"

Say = Callable[[str], None]


class References:
    """The trainings of a study's datasets, each alone, beside its trials; what an earlier study trained is read.

    Each has the settings of trial 0 and as many samples of its dataset as trial 0 gives it, without rests.
    """

    def __init__(self, plan: StudyPlan, task: Task, folder: Path, say: Say) -> None:
        self._plan, self._task, self._folder, self._say = plan, replace(task, workers=1), folder, say
        self._asked = deque[tuple[str, Path]]()
        self._running: dict[ray.ObjectRef[dict[str, Any]], str] = {}
        self._train: Callable[[str, Path], ray.ObjectRef[dict[str, Any]]]
        self.metrics: dict[str, dict[str, float]] = {}
        """By dataset: its validation metrics at its best epoch."""

    def start(self, gpus: float) -> None:
        """Read what earlier studies trained, and note the rest for ``advance``; ``gpus``: the share of each."""
        import ray

        plan, config = self._plan, self._plan.config(self._plan.space.first())
        if len(config.active) < 2 or config.plan:
            self._say(
                "No dataset is trained alone for comparison: "
                + ("the space has a plan of stages" if config.plan else "there is one dataset")
            )
            return
        task, first = ray.put(self._task), plan.space.first()
        remote = ray.remote(num_cpus=plan.cpus_per_worker, num_gpus=gpus, max_retries=2)(train_alone)
        self._train = lambda name, folder: remote.remote(task, first, name, folder)
        for name in config.active:
            own, fingerprint = alone(self._task, first, name), plan.material.data[name].fingerprint
            place = plan.out / SHARED / f"{name}-{_key(own, fingerprint)}"
            if known := _read(place / RESULT):
                self._take(name, known)
            else:
                self._asked.append((name, place))
        self._keep()

    @property
    def ready(self) -> bool:
        """Whether all have ended."""
        return not self._asked and not self._running

    def advance(self, at_once: int) -> None:
        """Take in those that have ended, and let up to ``at_once`` run."""
        import ray

        running = list(self._running)
        done = ray.wait(running, num_returns=len(running), timeout=0)[0] if running else []
        for reference in done:
            name = self._running.pop(reference)
            try:
                result = ray.get(reference)
            except ray.exceptions.RayError as error:
                result = {"failed": explain(error)}
            self._take(name, result)
        if done:
            self._keep()
        while self._asked and len(self._running) < at_once:
            name, place = self._asked.popleft()
            self._running[self._train(name, place)] = name

    def finish(self, at_once: int, is_interrupted: Callable[[], bool]) -> None:
        """Train what is left, once no trial does.

        Raises:
            KeyboardInterrupt: ``is_interrupted`` says so.
        """
        while not self.ready:
            if is_interrupted():
                raise KeyboardInterrupt
            self.advance(at_once)
            time.sleep(0.2)

    def stop(self) -> None:
        """End those that run; each continues from its last epoch when the study does."""
        import ray

        for reference in self._running:
            ray.cancel(reference, force=True)
        self._running.clear()
        self._asked.clear()

    def _take(self, name: str, result: Mapping[str, Any]) -> None:
        if "failed" in result:
            self._say(f"{name} trained alone failed: {result['failed']}; nothing is compared with it")
            return
        self.metrics[name] = dict(result["metrics"])
        key = _primary(name, self._plan.config(self._plan.space.first()))
        self._say(f"{name} trained alone: {key} {self.metrics[name][key]:.4f} after {result['samples']:,} samples")

    def _keep(self) -> None:
        save_json(self._folder / REFERENCES, {"alone": self.metrics})


def settled(plan: StudyPlan, folder: Path) -> StudyPlan:
    """The plan with the floors that an earlier run of the study in ``folder`` settled."""
    goal = plan.space.goal
    if not goal.relative:
        return plan
    with suppress(DamagedFile):
        known = read_ends(folder)[0].goal.floors
        mine = {key: known[key] for key in goal.relative if key in known}
        return _with_goal(plan, replace(goal, floors={**goal.floors, **mine}))
    return plan


def with_floors(plan: StudyPlan, defaults: TrialRecord, alone: Mapping[str, Mapping[str, float]]) -> StudyPlan:
    """The plan with every floor that trial 0, which has ended, and the references ``alone`` settle."""
    goal = plan.space.goal
    best = defaults.best(goal) if defaults.end.is_complete else None
    return _with_goal(plan, goal.with_references(best.metrics if best else {}, alone))


def _with_goal(plan: StudyPlan, goal: Goal) -> StudyPlan:
    return replace(plan, space=replace(plan.space, goal=goal))


def train_alone(task: Task, first: Mapping[str, Value], name: str, folder: Path) -> dict[str, Any]:
    """Train the dataset ``name`` alone in this process, with as many of its samples as trial 0 draws.

    Args:
        first: the settings of trial 0 that the space varies.
        folder: where its checkpoint and result are kept; an interrupted training continues from there.

    Returns:
        ``metrics``: of the validation split at the epoch that is best in the dataset's primary metric, with
        ``samples``; or ``failed`` with the reason.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config = alone(task, first, name)
        write_whole(folder / CONFIG, dotted_yaml(flatten(config), f"{name} alone"))
        goal, epochs = Goal((Objective(_primary(name, config)),)), []

        def keep(record: EpochRecord, checkpoint: Checkpoint) -> None:
            epochs.append(record)
            state = {**checkpoint.state, "alone": [e.to_json() for e in epochs]}
            replace(checkpoint, state=state).save(folder)

        last = folder / LAST
        epochs += _epochs_of(last) if last.is_file() else []
        end, reason = train_trial(config, task.supply, goal, resume=last if epochs else None, report=keep)
        if end is End.FAILED:
            return {"failed": reason}
        best = TrialRecord(name, 0, {}, flatten(config), tuple(epochs)).best(goal)
        assert best is not None, "a training that ended has epochs"
        result = {"metrics": dict(best.metrics), "samples": epochs[-1].samples, "epoch": best.epoch}
    except Exception as error:
        return {"failed": explain(error)}
    save_json(folder / RESULT, result)
    last.unlink(missing_ok=True)
    return result


def alone(task: Task, first: Mapping[str, Value], name: str) -> TrialConfig:
    """The configuration of trial 0 with ``name`` as its one dataset, which gets the steps that trial 0 begins with."""
    joint = task.config(first)
    arrays = task.supply(joint)[0] if joint.mixing.rule == "temperature" else {}
    sizes = {d: int(a.splits["train"].size) for d, a in arrays.items()}
    shares = {d: settings.share for d, settings in joint.active.items()}
    part = Mixer(joint.mixing, joint.stopping, shares, sizes).shares()[name]
    steps = max(1, round(part * joint.budget.steps_per_epoch))
    own = {"stopping.rule": "none", "budget.steps_per_epoch": steps}
    layers = (*task.layers, first)
    return make_config(*layers, only([name], *layers), own, source=f"{name} alone")


def _key(config: TrialConfig, fingerprint: str) -> str:
    """A short hash of what determines the training: its settings, except absent datasets, and its pictures."""
    others = tuple(f"datasets.{name}." for name in config.datasets if name not in config.active)
    flat = {k: v for k, v in flatten(config).items() if not k.startswith(others)}
    return hashlib.sha256(json.dumps([flat, fingerprint], sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, Any]:
    """A result of an earlier study; empty where there is none that can be read."""
    try:
        return load_json(path) if path.is_file() else {}
    except (OSError, *MALFORMED):
        return {}


def _primary(name: str, config: TrialConfig) -> str:
    return metric("val", name, primary_metric(name, config.datasets[name].reader))


def _epochs_of(last: Path) -> list[EpochRecord]:
    """Of a training that was cut off."""
    return [EpochRecord.from_json(each) for each in load(last).get("alone", ())]
