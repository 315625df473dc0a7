"""The end of a study: its choice and the defaults, trained again at a long budget and compared on validation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raytune_planes.records import End, EpochRecord, Goal, TrialRecord
from raytune_planes.settings import Value, flatten, make_config
from raytune_planes.space import lengthened, long_in_all
from raytune_planes.terminal import View
from raytune_planes.tracking.files import (
    CONFIG,
    EPOCHS,
    LAST,
    TRIAL,
    save_json,
    study_folder,
    trial_folder,
    write_whole,
)
from raytune_planes.tracking.files import END as ENDED
from raytune_planes.tracking.final import MARK, Final, begin, called, final_folder, long_goal, read_final
from raytune_planes.tracking.gains import best_of
from raytune_planes.tracking.jsonl import dotted_yaml
from raytune_planes.tracking.reading import (
    StudyFiles,
    epoch_from_line,
    epoch_to_line,
    read_epochs,
    read_trial,
    trial_end_to_json,
)
from raytune_planes.training.checkpoint import Checkpoint, load
from raytune_planes.training.folds import train_trial
from raytune_planes.training.writing import Writer
from raytune_planes.tuning.again import trained
from raytune_planes.tuning.budget import long_seconds, needs_defaults
from raytune_planes.tuning.cluster import connected
from raytune_planes.tuning.daemons import Guard, resumable
from raytune_planes.tuning.failures import explain
from raytune_planes.tuning.interrupt import Interrupt
from raytune_planes.tuning.leaving import LEFT, HostLeaves, leave_if_told
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.stop_requests import halved
from raytune_planes.tuning.trial import Task

LINES = "final"
"""Key of a ``last.pt``: the epochs behind it, a line each."""


@dataclass(frozen=True)
class Long:
    """One training at the long budget."""

    trial_id: str
    number: int
    drawn: Mapping[str, Value]
    epochs: int
    goal: Goal
    """Ranks its epochs."""
    pieces: int = 1
    """Parts that a batch goes through the model in: as many as the trial needed for want of memory."""


def train_final(plan: StudyPlan, study: StudyFiles, view: View) -> Final | None:
    """Train the best trial and the defaults of ``study`` again with ``plan.final`` epochs; what is there is not done
    again, and a training that was cut off goes on.

    Where a floor follows the defaults, these are trained first, so that the choice's epochs are judged by the floors
    that count at this budget.

    Returns:
        What was found; None where no trial is complete.

    Raises:
        UserError: one training does not fit into the cluster.
        KeyboardInterrupt: the person or the system wished it; each training goes on from its last epoch.
    """
    best = best_of(study)
    first = next((t for t in study.trials if t.number == 0), None)
    if best is None or first is None:
        return None
    folder = study_folder(plan.out, plan.name).resolve()
    begin(folder, plan.final, best.number, best.trial_id)
    chosen = [first, best] if best.number else [first]
    known = {t.number: final_folder(folder, t, plan.final) for t in chosen}
    if all(_is_complete(place) for place in known.values()):
        return read_final(study)
    whole = long_in_all(plan.space, plan.final)
    view.note(_announced(plan.final, whole, chosen))
    follows = needs_defaults(study.start.goal)
    tell = resumable(view, plan.name, plan.out)
    with connected() as cluster, Interrupt() as interrupt, Guard(cluster, interrupt.ask, tell):
        for group in [[t] for t in chosen] if follows else [chosen]:
            long = _read(known[0])
            jobs = {
                t.number: (_long(plan, t, long_goal(study, long), folder), known[t.number])
                for t in group
                if not _is_complete(known[t.number])
            }
            progress = _Progress(view, {number: known[number] for number in jobs}, whole)
            for number, result in trained(plan, folder, train_long, jobs, cluster, interrupt, view.note, progress):
                if "failed" in result:
                    _fail(known[number], result["failed"])
                view.note(f"final training: {called(number)}: {_ended(result)}")
    return read_final(study)


def train_long(task: Task, long: Long, folder: Path) -> dict[str, Any]:
    """Train one configuration at the long budget in this process, from its last epoch where it was cut off.

    Args:
        folder: holds the same files as a trial's.

    Returns:
        ``reason`` of its end, or ``failed`` with the reason, or ``left`` with the host that is about to end.
    """
    from raytune_planes.tuning.worker import make_worker

    if _is_complete(folder):  # and its process was lost before it could say so
        return {"reason": read_trial(folder)[0].reason}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        plan = task.config(long.drawn).plan
        config = make_config(*task.layers, long.drawn, lengthened(plan, long.epochs), source="the final training")
        record = TrialRecord(long.trial_id, long.number, long.drawn, flatten(config), tags={MARK: str(long.epochs)})
        lines = _lines(folder / LAST)
        record = _started(folder, record)

        def keep(epoch: EpochRecord, checkpoint: Checkpoint) -> None:
            lines.append(epoch_to_line(epoch))
            taken, known = replace(checkpoint, state={**checkpoint.state, LINES: lines}), "".join(lines)
            writer.save(taken, folder, lambda: write_whole(folder / EPOCHS, known))
            leave_if_told()

        write_whole(folder / EPOCHS, "".join(lines))
        resume = folder / LAST if lines else None
        worker = make_worker(1, config.devices.vision, holds_card=task.holds_card)
        more: dict[str, Any] = {"worker": worker, "resume": resume, "pieces": long.pieces}
        with Writer() as writer:
            end, reason = train_trial(config, task.supply, long.goal, report=keep, say=lambda _: None, **more)
        _end(folder, replace(record, epochs=tuple(epoch_from_line(line.encode()) for line in lines)), end, reason)
        return {"failed": reason} if end is End.FAILED else {"reason": reason}
    except HostLeaves as leaving:
        return {LEFT: str(leaving)}
    except Exception as error:
        return {"failed": explain(error)}


class _Progress:
    """Tells of every quarter of a long training."""

    def __init__(self, view: View, folders: Mapping[int, Path], epochs: int) -> None:
        self._view, self._folders, self._epochs = view, folders, epochs
        self._told = {n: 4 * len(read_epochs(f / EPOCHS)[0]) // epochs for n, f in folders.items()}
        self._looked = 0.0

    def __call__(self) -> None:
        if time.monotonic() - self._looked < 5:
            return
        self._looked = time.monotonic()
        for number, folder in self._folders.items():
            done = len(read_epochs(folder / EPOCHS)[0])
            if (quarter := 4 * done // self._epochs) > self._told[number] and done < self._epochs:
                self._told[number] = quarter
                self._view.note(f"final training: {called(number)}, epoch {done} of {self._epochs}")


def _long(plan: StudyPlan, trial: TrialRecord, goal: Goal, study: Path) -> Long:
    drawn = trial.drawn if trial.number else plan.space.first()
    pieces = 2 if halved(trial_folder(study, trial.number, trial.trial_id)) else 1
    return Long(f"{trial.trial_id}-final{plan.final}", trial.number, dict(drawn), plan.final, goal, pieces)


def _announced(epochs: int, whole: int, chosen: list[TrialRecord]) -> str:
    """Which configurations are trained, and how long that will take by what their trials took.

    ``whole``: epochs of all stages or folds.
    """
    seconds = sum(long_seconds(trial, whole) for trial in chosen)
    names = " and ".join(called(t.number) for t in reversed(chosen))
    took = f"; about {max(1, round(seconds / 60))} min of training, by what the trials took"
    return f"final training: {names}, {epochs} epochs each{took}"


def _started(folder: Path, record: TrialRecord) -> TrialRecord:
    """Write what a trial's folder begins with; a training that goes on keeps its start."""
    known = _read(folder)
    now = int(time.time() * 1000)
    record = replace(record, started_ms=known.started_ms if known else now)
    (folder / ENDED).unlink(missing_ok=True)
    write_whole(folder / CONFIG, dotted_yaml(record.config, f"trial {record.number} at the long budget"))
    named = {"trial_id": record.trial_id, "number": record.number, "started_ms": record.started_ms}
    values = {"drawn": dict(record.drawn), "config": dict(record.config), "tags": dict(record.tags)}
    save_json(folder / TRIAL, {**named, **values})
    return record


def _end(folder: Path, record: TrialRecord, end: End, reason: str) -> None:
    record = replace(record, end=end, reason=reason, ended_ms=int(time.time() * 1000))
    save_json(folder / ENDED, trial_end_to_json(record))
    if end.is_complete:
        (folder / LAST).unlink(missing_ok=True)  # of no use any more


def _fail(folder: Path, reason: str) -> None:
    """Write the end of a training whose process could not."""
    known = _read(folder)
    if known is not None and known.end is not End.FAILED:
        _end(folder, known, End.FAILED, reason)


def _lines(last: Path) -> list[str]:
    """The epochs behind a training that was cut off."""
    return list(load(last)[LINES]) if last.is_file() else []


def _read(folder: Path) -> TrialRecord | None:
    return read_trial(folder)[0] if (folder / TRIAL).is_file() else None


def _is_complete(folder: Path) -> bool:
    known = _read(folder)
    return known is not None and known.end.is_complete


def _ended(result: Mapping[str, Any]) -> str:
    return f"failed, {result['failed']}" if "failed" in result else str(result["reason"])
