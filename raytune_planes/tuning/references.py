"""What each dataset reaches when it is trained alone: the reference for transfer, and for floors that follow it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_planes.printing import counted
from raytune_planes.records import Goal, TrialRecord
from raytune_planes.terminal import Alone, View
from raytune_planes.tracking.files import REFERENCES, SHARED, save_json
from raytune_planes.tracking.reading import DamagedFile, alone_metrics, kept_references, read_ends
from raytune_planes.tuning.alone import RESULT, alone, folder_name, primary, result_of, train_alone, why_no_teacher
from raytune_planes.tuning.failures import explain
from raytune_planes.tuning.leaving import LEFT, goes_on
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.teaching import learns_first
from raytune_planes.tuning.trial import Task

if TYPE_CHECKING:
    import ray


class References:
    """The trainings of a study's datasets, each alone, beside its trials; what an earlier study trained is read.

    Each has the settings of trial 0 and as many samples of its dataset as trial 0 gives it, without rests.
    """

    def __init__(
        self, plan: StudyPlan, task: Task, folder: Path, view: View, is_interrupted: Callable[[], bool] = lambda: False
    ) -> None:
        self._plan, self._task, self._folder, self._view = plan, replace(task, workers=1), folder, view
        self._say = view.note
        self._is_interrupted = is_interrupted
        self._asked = deque[tuple[str, Path]]()
        self._running: dict[ray.ObjectRef[dict[str, Any]], str] = {}
        self._train: Callable[[str, Path], ray.ObjectRef[dict[str, Any]]]
        self.metrics: dict[str, dict[str, float]] = {}
        """By dataset: its validation metrics at its best epoch."""
        self._places: dict[str, Path] = {}

    def start(self, gpus: float, at_once: int, has_cards: bool = False) -> None:
        """Read what earlier studies trained, and note the rest for ``advance``; ``gpus``: the share of each,
        of a card if there are cards.

        Where trial 0 learns from them, it returns when all are trained, ``at_once`` at a time.

        Raises:
            KeyboardInterrupt: as ``finish``.
        """
        import ray

        plan, config = self._plan, self._plan.config(self._plan.space.first())
        if len(config.active) < 2 or config.plan:
            self._say(
                "No dataset is trained alone for comparison: "
                + ("the space has a plan of stages" if config.plan else "there is one dataset")
            )
            return
        mine, kept = alone_metrics(self._folder / REFERENCES), kept_references(self._folder / REFERENCES)
        task, first = ray.put(replace(self._task, holds_card=gpus > 0 and has_cards)), plan.space.first()
        remote = ray.remote(num_cpus=plan.cpus_per_worker, num_gpus=gpus, max_retries=2)(train_alone)
        self._train = lambda name, folder: remote.remote(task, first, name, folder)
        for name in config.active:
            about = plan.material.data[name]
            if config.split.kind == "holdout" and not about.counts["val"] and not plan.teachers:
                self._say(f"{name} is not trained alone for comparison: it has no validation pictures")
                continue
            own = alone(self._task, first, name)
            self._places[name] = place = plan.out / SHARED / folder_name(name, own, about.fingerprint)
            if kept.get(name) == place.name and name in mine and not plan.teachers:  # its files may be gone by now
                self.metrics[name] = mine[name]
                continue
            known = result_of(place)
            if known and plan.teachers and (why := why_no_teacher(place)):
                self._say(f"{name} was trained alone before, and is trained again as nothing can learn from it: {why}")
                (place / RESULT).unlink()
                known = {}
            if known:
                self._take(name, known)
            else:
                self._asked.append((name, place))
        self._keep()
        if learns_first(plan):
            self.finish(at_once)

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
            if host := result.get(LEFT):
                self._view.alone_ended(name, f"{name} trained alone {goes_on(host)}", None)
                self._asked.appendleft((name, self._places[name]))
                continue
            self._take(name, result)
        if done:
            self._keep()
        while self._asked and len(self._running) < at_once:
            name, place = self._asked.popleft()
            self._running[self._train(name, place)] = name
            epochs = alone(self._task, self._plan.space.first(), name).budget.epochs
            self._view.alone_began(Alone(name, place, epochs))

    def finish(self, at_once: int) -> None:
        """Train what is left, while no trial does.

        Raises:
            KeyboardInterrupt: the study is interrupted.
        """
        while not self.ready:
            if self._is_interrupted():
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
            taught = ", and trials that learn from it fail" if self._plan.teachers else ""
            text = f"{name} trained alone failed: {result['failed']}; nothing is compared with it{taught}"
            self._view.alone_ended(name, text, None)
            return
        self.metrics[name] = dict(result["metrics"])
        key = primary(name, self._plan.config(self._plan.space.first()))
        samples, value = counted(result["samples"], "sample"), self.metrics[name].get(key)
        reached = "no validation pictures" if value is None else f"{key} {value:.4f}"
        self._view.alone_ended(name, f"{name} trained alone: {reached} after {samples}", self.metrics[name])

    def _keep(self) -> None:
        kept = {name: place.name for name, place in self._places.items() if name in self.metrics}
        save_json(self._folder / REFERENCES, {"alone": self.metrics, "kept": kept})


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
