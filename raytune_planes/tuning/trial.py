"""One trial: the function that Ray Tune calls, and the training function that each of its workers runs."""

from __future__ import annotations

import dataclasses
import gc
import socket
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raytune_planes.allocation import give_back
from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Arrays
from raytune_planes.errors import UserError
from raytune_planes.preparation.prompts import prompts_key
from raytune_planes.records import End, Goal
from raytune_planes.settings import Value, flatten, make_config
from raytune_planes.stores.address import Place
from raytune_planes.tracking.files import LAST, trial_folder
from raytune_planes.training.checkpoint import content_of
from raytune_planes.training.ended import load_state
from raytune_planes.training.folds import train_trial
from raytune_planes.training.stages import Fork
from raytune_planes.training.workers import Worker
from raytune_planes.tuning.entries import Entry, open_entries
from raytune_planes.tuning.failures import NO_MEMORY, end_by, explain, lost_process
from raytune_planes.tuning.leaving import LEFT, HostLeaves, leaves, node_id, preempted
from raytune_planes.tuning.reporter import Reporter
from raytune_planes.tuning.stop_requests import halve_batches, halved, stop_requested

ERROR = "error.txt"


@dataclass(frozen=True)
class Task:
    """What all trials of a study have in common. All paths are absolute."""

    layers: tuple[Mapping[str, Value], ...]
    """Settings by dotted path, later ones override earlier ones; a trial's drawn settings override them all."""
    entries: tuple[Entry, ...]
    prompts: Mapping[str, str]
    """``prompts_key`` -> path of an ``.npz`` of its prompt embeddings by dataset, [K, W]."""
    goal: Goal
    study: str
    """The study's folder, shared by all machines."""
    data: Place | None = None
    """Where a machine that does not see the decoded datasets finds the pictures; None for synthetic ones."""
    workers: int = 1
    cpus_per_worker: int = 1
    holds_card: bool = False  # for trainings that are no trials: as ``card`` of ``Pools.take``
    common_stages: int = 0
    """Leading stages that are the same in all trials, to be trained by the first of them."""

    def config(self, drawn: Mapping[str, Value]) -> TrialConfig:
        """Raises UserError when the drawn settings do not fit together."""
        return make_config(*self.layers, drawn, source="this trial's settings")

    def settings(self, drawn: Mapping[str, Value]) -> dict[str, Any]:
        """All settings of a trial by dotted path, also where they do not fit together: the trial reports that, and
        fails."""
        try:
            return flatten(self.config(drawn))
        except UserError:
            return {k: v for layer in (*self.layers, drawn) for k, v in layer.items()}

    def embedded(self, config: TrialConfig) -> dict[str, np.ndarray]:
        """The prompts' embeddings by dataset, [K, W]."""
        with np.load(self.prompts[prompts_key(config)]) as stored:
            return dict(stored)

    def supply(self, config: TrialConfig) -> tuple[dict[str, Arrays], dict[str, np.ndarray]]:
        """What a stage trains on: decoded datasets, and the embeddings of their prompts."""
        return open_entries(self.entries, config, self.data), self.embedded(config)

    def folder(self, number: int, trial_id: str) -> Path:
        return trial_folder(Path(self.study), number, trial_id)


def run_trial(suggested: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """Train one configuration in the calling process, or in a group of workers when the task asks for several.

    Args:
        suggested: ``trial_id``, ``number``, ``drawn`` (dotted path -> value), ``pool`` (see ``Pools.take``) and
            ``floors``, those that were known when it started.

    Returns:
        ``end`` and ``reason``: the last thing that Tune reports of the trial. Whatever goes wrong with this
        configuration ends as ``end_by`` says; only a lost process passes, and once a lack of memory: Tune tries again.

    Raises:
        RayActorError: the trial's host is about to end; all epochs so far are on the disk.
    """
    folder = task.folder(suggested["number"], suggested["trial_id"])
    if not Path(task.study).is_dir():  # on a host that joined after the others were asked
        reason = f"{socket.gethostname()} does not see {task.study}; name a folder that all hosts share with --out"
        return {"end": End.FAILED.value, "reason": reason}
    folder.mkdir(parents=True, exist_ok=True)
    if request := stop_requested(folder):  # from before it lost its process
        return {"end": request.end.value, "reason": request.reason}
    if leaves():  # a process that is free there took the trial
        raise preempted(socket.gethostname())
    try:
        outcome = _fit(suggested, task, folder)
    except Exception as error:
        if lost := lost_process(error):
            raise lost from error
        if explain(error).startswith(NO_MEMORY) and halve_batches(folder, explain(error)):
            raise  # Tune tries again, in a process that holds nothing yet
        with suppress(OSError):  # the disk may be what went wrong
            (folder / ERROR).write_text(traceback.format_exc(), encoding="utf-8")
        return end_by(error)
    finally:
        gc.collect()  # this process takes the next trial, and what refers to itself would hold the arrays' files open
        give_back()
    if host := outcome.get(LEFT):
        raise preempted(host)
    return outcome


def _fit(suggested: Mapping[str, Any], task: Task, folder: Path) -> dict[str, Any]:
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    from raytune_planes.tuning import reaper, worker

    config = task.config(suggested["drawn"])  # before any worker is asked for
    alone, pool = task.workers == 1, suggested["pool"]
    gpus = {"GPU": pool["gpus"]} if pool["gpus"] else {}
    trainer = TorchTrainer(
        train_here,
        train_loop_config={"asked": dict(suggested), "task": task, "led_from": node_id()},
        torch_config=TorchConfig(backend=worker.backend(config.devices.vision, pool["nccl"])),
        scaling_config=ray.train.ScalingConfig(
            num_workers=0 if alone else task.workers,
            use_gpu=bool(gpus),
            resources_per_worker=None if alone else {"CPU": task.cpus_per_worker, **gpus},
            label_selector=None if alone else pool["labels"],
        ),
        run_config=ray.train.RunConfig(
            name=suggested["trial_id"],
            storage_path=str(folder.parent.parent / "ray" / "train"),
            callbacks=[] if alone else [TuneReportCallback(), *reaper.remembering(suggested["trial_id"])],
            # An unplaceable group is tried for ever by default.
            failure_config=ray.train.FailureConfig(max_failures=0, controller_failure_limit=3),
            logging_config=ray.train.LoggingConfig(log_level="ERROR"),
        ),
    )
    outcome: dict[str, Any] = trainer.fit().return_value
    return outcome


def train_here(job: Mapping[str, Any]) -> dict[str, Any]:
    """The training function of every worker, also of one that is alone in the trial's own process."""
    from raytune_planes.tuning.worker import make_worker

    suggested, task, pool = job["asked"], job["task"], job["asked"]["pool"]
    config = task.config(suggested["drawn"])
    for _, stage in config.staged:
        if stage.budget.batch_size % task.workers:
            raise UserError(
                f"budget.batch_size = {stage.budget.batch_size} cannot be shared evenly by {task.workers} workers; "
                f"choose a multiple of {task.workers}"
            )
    folder = task.folder(suggested["number"], suggested["trial_id"])
    last = folder / LAST if (folder / LAST).is_file() else None
    trained_by = make_worker(task.workers, config.devices.vision, holds_card=pool["card"], share=pool.get("gpus", 1.0))
    fork = Fork(Path(task.study) / "stages", f"trial {suggested['number']}", task.common_stages)
    try:
        with Reporter(folder, trained_by, fork.took, job.get("led_from", "")) as report:
            return _train(job, config, report, trained_by, fork, last)
    except HostLeaves as leaving:
        return {LEFT: str(leaving)}


def _train(
    job: Mapping[str, Any], config: TrialConfig, report: Reporter, trained_by: Worker, fork: Fork, last: Path | None
) -> dict[str, Any]:
    """Returns when the last checkpoint is on the disk: with its end the driver takes the trial's files."""
    suggested, task = job["asked"], job["task"]
    if trained_by.rank == 0:
        trained_by.watch = report.steps
    if last is not None:
        try:
            state = load_state(last)
            with content_of(last):
                report.tell_again(state)
        except UserError as error:
            report.say(f"trial {suggested['number']} starts from the beginning: {error}")
            last = None
    end, reason = train_trial(
        config,
        task.supply,
        dataclasses.replace(task.goal, floors=suggested.get("floors", task.goal.floors)),
        worker=trained_by,
        resume=last,
        pieces=2 if halved(task.folder(suggested["number"], suggested["trial_id"])) else 1,
        report=report,
        say=lambda note: report.say(f"trial {suggested['number']}: {note}"),
        fork=fork,
    )
    return {"end": end.value, "reason": reason}
