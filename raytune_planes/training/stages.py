"""A training of several stages: each has its own settings and begins with the weights of the one before."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Arrays
from raytune_planes.errors import UserError
from raytune_planes.records import End, EpochRecord, Goal
from raytune_planes.settings import flatten
from raytune_planes.training import checkpoint
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.training.ended import load_state
from raytune_planes.training.loop import Report, fit, train
from raytune_planes.training.start import begin_with, take
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker, Worker

Supply = Callable[[TrialConfig], tuple[Mapping[str, Arrays], Mapping[str, np.ndarray]]]
"""The decoded arrays of a stage's datasets, and the embeddings of their class prompts, [K, W]."""
Stages = Sequence[tuple[str, TrialConfig]]


@dataclass(frozen=True)
class Done:
    """What a training had behind it when a stage began."""

    epoch: int = 0
    step: int = 0
    samples: int = 0
    began: int = 0
    """Of ``samples``, those that another training saw: this one began with its weights."""

    def then(self, record: EpochRecord, name: str) -> EpochRecord:
        """A record of the stage ``name``, counted over the whole training."""
        return replace(
            record,
            epoch=self.epoch + record.epoch,
            step=self.step + record.step,
            samples=self.samples + record.samples,
            decisions=tuple(replace(d, epoch=self.epoch + d.epoch) for d in record.decisions),
            stage=name,
            began=self.began,
        )

    def after(self, trainer: Trainer) -> Done:
        samples = trainer.step * trainer.config.budget.batch_size
        return Done(self.epoch + trainer.epoch, self.step + trainer.step, self.samples + samples, self.began)


@dataclass(frozen=True)
class Fork:
    """The weights after the leading stages that all trials of a study have in common: the first trial keeps them, the
    others begin with them. Trials that start at one moment all train them, as they would otherwise only wait.
    """

    folder: Path
    trial: str
    """Whose training this is, for those who read the weights later."""
    stages: int
    """How many leading stages are the same in all trials."""
    took: list[str] = field(default_factory=list)
    """Which weights this training began with, for its record."""

    def find(self, stages: Stages, worker: Worker) -> tuple[int, Path] | None:
        """How many of ``stages`` need not be trained, and the weights after them; the same on every worker."""
        for ready in range(min(self.stages, len(stages) - 1), 0, -1):
            path = self._path(stages[:ready], worker)
            present = worker.sum(torch.tensor([float(path.is_file())], dtype=torch.float64))
            if int(present) == worker.world:
                return ready, path
        return None

    def keep(self, stages: Stages, done: Done, trainer: Trainer, worker: Worker) -> None:
        """Write the weights after ``stages``, unless they are no common ones or there already."""
        path = self._path(stages, worker)
        if len(stages) <= self.stages and worker.rank == 0 and not path.is_file():
            checkpoint.save({"weights": trainer.weights(), "done": asdict(done), "trial": self.trial}, path)

    def _path(self, stages: Stages, worker: Worker) -> Path:
        settings = [(name, _of_active(stage)) for name, stage in stages]
        digest = hashlib.sha256(json.dumps([settings, worker.device.type, worker.world], sort_keys=True).encode())
        return self.folder / f"{stages[-1][0]}-{digest.hexdigest()[:16]}.pt"


def train_stages(
    config: TrialConfig,
    supply: Supply,
    goal: Goal,
    *,
    worker: Worker | None = None,
    resume: Path | None = None,
    pieces: int = 1,
    report: Report,
    say: Callable[[str], None] = lambda _: None,
    fork: Fork | None = None,
) -> tuple[End, str]:
    """Train one configuration to its end, stage by stage; see ``loop.train``, which does a training without a plan.

    Epochs, steps and samples count on from stage to stage. A stage ends when its budget is spent or all its datasets
    rest; optimiser, schedule, balancing, mixing and stopping begin anew with the next, and so does the search for the
    best epoch: the weights that are kept are of the last stage that was reached.

    Args:
        supply: Called at the start of each stage with its configuration.
        resume: A ``last.pt``: continues within the stage that wrote it.
        fork: Where weights after common stages are looked for and kept; None to train them all.

    Raises:
        UserError: also when two stages have no weights in common.
    """
    worker = worker or LocalWorker(config.devices.vision)
    if not config.plan:
        data, prompts = supply(config)
        more: dict[str, Any] = {"worker": worker, "resume": resume, "pieces": pieces, "report": report, "say": say}
        return train(config, data, prompts, goal, **more)
    torch.set_num_threads(config.devices.threads)
    stages = config.staged
    before = _before(stages, worker, resume, fork, say)
    end, reason = End.COMPLETED, ""
    for i, (name, stage) in enumerate(stages[before.stages :], before.stages):
        trainer = Trainer(stage, *supply(stage), worker)
        trainer.pieces = pieces
        best = _begin(trainer, before, (name, stages[i - 1][0]), say)
        end, reason = fit(trainer, goal, best, _counted(report, name, before.done), say)
        reason = f"stage {name}: {reason}"
        if not end.is_complete:
            break
        before = _Before(i + 1, before.done.after(trainer), weights=trainer.weights())
        if fork and i + 1 < len(stages):
            fork.keep(stages[: i + 1], before.done, trainer, worker)
        del trainer  # with what it has on a GPU, before the next one looks for room there
    return end, reason


@dataclass(frozen=True)
class _Before:
    """What a stage begins with: what is done, and either the weights after it or the state within a stage."""

    stages: int = 0
    """How many of them are complete."""
    done: Done = Done()
    state: Mapping[str, Any] | None = None
    source: str = ""
    """The file of ``state``."""
    weights: Mapping[str, Tensor] | None = None


def _before(
    stages: Stages, worker: Worker, resume: Path | None, fork: Fork | None, say: Callable[[str], None]
) -> _Before:
    """From where a training starts: a checkpoint to resume, common stages that another trial trained, or nothing."""
    if resume is not None:
        state = load_state(resume)
        with checkpoint.content_of(resume):
            complete, done = _place(state, stages, resume)
        return _Before(complete, done, state=state, source=str(resume))
    common = fork.find(stages, worker) if fork else None
    if fork is None or common is None:
        return _Before()
    complete, path = common
    kept = checkpoint.load(path)
    with checkpoint.content_of(path):
        weights, done = kept["weights"], Done(**kept["done"])
    fork.took.append(f"{path.name} of {kept['trial']}")
    say(f"begins after stage {stages[complete - 1][0]}, with {path.name} that {kept['trial']} trained")
    # Of all samples so far, this training saw none.
    return _Before(complete, replace(done, began=done.samples), weights=weights)


def _begin(trainer: Trainer, before: _Before, names: tuple[str, str], say: Callable[[str], None]) -> float:
    """Give ``trainer`` the state or the weights that its stage begins with; returns the highest score so far.

    ``names``: this stage's, and that of the one before it in the plan.
    """
    if before.state is not None:
        with checkpoint.content_of(before.source):
            return trainer.restore(before.state, before.source)
    name, last = names
    if trainer.config.start:
        say(f"stage {name}: {begin_with(trainer.model, Path(trainer.config.start))}")
    elif before.weights is not None:
        say(f"stage {name}: {take(trainer.model, before.weights, f'stage {last}')}")
    trainer.average.begin()
    return -math.inf


def stage_of(config: TrialConfig, model: Mapping[str, Any]) -> TrialConfig:
    """The configuration of the stage that the weights of a ``best.pt`` are from."""
    return dict(config.staged)[model.get("stage", "")]


def epochs_of(state: Mapping[str, Any]) -> int:
    """Epochs behind a ``last.pt``, over all stages."""
    return int(state["epoch"]) + int(state.get("before", {}).get("epoch", 0))


def _counted(report: Report, name: str, done: Done) -> Report:
    """``report``, told of the stage ``name`` in numbers of the whole training."""

    def counted(record: EpochRecord, kept: Checkpoint) -> None:
        record = done.then(record, name)
        state = {**kept.state, "stage": name, "before": asdict(done)}
        model = {**kept.model, "stage": name, "epoch": record.epoch}
        report(record, replace(kept, state=state, model=model))

    return counted


def _place(state: Mapping[str, Any], stages: Stages, path: Path) -> tuple[int, Done]:
    """Which stage wrote ``state``, and what was behind it."""
    names = [name for name, _ in stages]
    if state.get("stage") not in names:
        was = f"stage '{state['stage']}'" if state.get("stage") else "a training without stages"
        raise UserError(f"{path} is of {was}, the plan has {', '.join(names)}; resume it with its own config.yaml")
    before = {f.name: state["before"][f.name] for f in fields(Done) if f.name in state["before"]}
    return names.index(state["stage"]), Done(**before)


def _of_active(stage: TrialConfig) -> dict[str, Any]:
    """All settings that a stage trains by: not those of datasets that take no part."""
    return flatten(stage.model_copy(update={"datasets": stage.active}))
