"""The training loop: one dataset per step, all of them validated each epoch, converged ones resting."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.card_decoding import decoding_in_words
from raytune_planes.printing import counted
from raytune_planes.records import End, EpochRecord, Goal, metric, not_finite, split_metric
from raytune_planes.tasks import of_scenes
from raytune_planes.training import checkpoint
from raytune_planes.training.cards import CardUse
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.training.ended import load_state
from raytune_planes.training.start import begin_with
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker, Worker

Report = Callable[[EpochRecord, Checkpoint], None]


class StopTrial(Exception):
    """Raised by ``report`` to end a trial in good order, e.g. because the search prunes it."""

    def __init__(self, end: End, reason: str) -> None:
        super().__init__(reason)
        self.end, self.reason = end, reason


def train(
    config: TrialConfig,
    data: Mapping[str, Arrays],
    prompts: Mapping[str, np.ndarray],
    goal: Goal,
    *,
    worker: Worker | None = None,
    resume: Path | None = None,
    pieces: int = 1,
    report: Report,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[End, str]:
    """Train one configuration to its end.

    Args:
        config: Every setting.
        data: The decoded arrays of each enabled dataset.
        prompts: For each dataset the embeddings of its class prompts, [K, W] with unit rows.
        goal: Ranks the epochs; the weights of the best one are kept.
        worker: This process among those that train together; alone when None.
        resume: A ``last.pt`` to continue from, with the same metrics as if it had never stopped.
        pieces: How many parts a batch is cut into that go through the model one after the other, to need less memory.
            The step is that of the whole batch, but for terms that compare images with each other (contrastive, Dice):
            those see the images of a part only.
        report: Called after every epoch, on every worker.
        say: Told which weights ``start`` gave, and what decodes where it is not as asked, on every worker.

    Returns:
        How the trial ended, and why.

    Raises:
        UserError: ``resume`` cannot be read or belongs to another configuration, or ``start`` cannot be used.
    """
    worker = worker or LocalWorker(config.devices.vision)
    torch.set_num_threads(config.devices.threads)
    trainer = Trainer(config, data, prompts, worker)
    trainer.pieces = pieces
    best = -math.inf
    if resume is not None:
        state = load_state(resume)
        with checkpoint.content_of(resume):
            best = trainer.restore(state, str(resume))
    elif config.start:
        say(begin_with(trainer.model, Path(config.start)))
        trainer.average.begin()
    return fit(trainer, goal, best, report, say)


def fit(
    trainer: Trainer, goal: Goal, best: float, report: Report, say: Callable[[str], None] = lambda _: None
) -> tuple[End, str]:
    """Train to the end of the budget, from where ``trainer`` stands; see ``train``.

    ``best``: the highest score so far; an epoch must exceed it for its weights to be kept.

    Returns:
        How it ended, and why.

    Raises:
        UserError: terms that have a weight train nothing.
    """
    budget = trainer.config.budget
    for note in decoding_in_words(trainer.config.devices, trainer.worker.device, trainer.config.active):
        say(note)
    trainer.begin(say)
    if trainer.teachers:
        say(trainer.teachers.in_words())
    while trainer.epoch < budget.epochs and not trainer.stopping.all_rest:
        record = run_epoch(trainer, goal)
        bad = not_finite(record.metrics)
        if bad:
            value = record.metrics[bad[0]]
            return End.FAILED, f"{bad[0]} is {value} after epoch {record.epoch}: the training diverged"
        score = goal.score(record.metrics)
        is_best, best = score > best, max(best, score)
        trainer.plateau.learn(_primary(trainer, record.metrics), score)
        # The metrics are the same on every worker, so all of them ask.
        predictions = trainer.predictions() if is_best else {}
        try:
            report(record, Checkpoint(trainer.state_dict(best), trainer.model_state(record), is_best, predictions))
        except StopTrial as stop:
            return stop.end, stop.reason
    if trainer.stopping.all_rest:
        return End.CONVERGED, f"every dataset rests after epoch {trainer.epoch}"
    return End.COMPLETED, f"the budget of {counted(budget.epochs, 'epoch')} is spent"


def run_epoch(trainer: Trainer, goal: Goal) -> EpochRecord:
    """Train an epoch, validate every dataset, and decide who rests in the next."""
    started, card = time.perf_counter(), CardUse(trainer.worker.device)
    order = trainer.mixer.epoch(trainer.config.budget.steps_per_epoch, trainer.stopping.resting)
    metrics = trainer.train_epoch(order)
    metrics |= trainer.evaluate("val", scenes=_scenes_are_due(trainer, goal))
    decisions = trainer.stopping.update(trainer.epoch, metrics, _floors(trainer, goal))
    steps = Counter(order)
    trainer.mixer.learn(_primary(trainer, metrics), steps)
    metrics |= {metric("train", name, "steps"): float(steps[name]) for name in trainer.data}
    if trainer.config.balancing.rule != "fixed":
        metrics |= {metric("train", *task.split("/")) + "_weight": w for task, w in trainer.balancer.weights().items()}
    metrics |= card.figures(len(order) * trainer.config.budget.batch_size)
    seconds = time.perf_counter() - started
    trainer.compiling.after_epoch(seconds, trainer.config.budget.epochs - trainer.epoch)
    return EpochRecord(
        epoch=trainer.epoch,
        step=trainer.step,
        samples=trainer.step * trainer.config.budget.batch_size,
        metrics=metrics,
        resting=trainer.stopping.resting,
        decisions=decisions,
        seconds=seconds,
        time_ms=int(time.time() * 1000),
    )


def _scenes_are_due(trainer: Trainer, goal: Goal) -> bool:
    """Whether whole scenes are evaluated after this epoch."""
    requested = {
        parts[2] for key in (*(o.metric for o in goal.objectives), *goal.floors) if (parts := split_metric(key))
    }
    budget = trainer.config.budget
    on_time = trainer.epoch == budget.epochs or (budget.scene_epochs and trainer.epoch % budget.scene_epochs == 0)
    return bool(requested.intersection(of_scenes()) or (budget.scene_epochs and on_time))


def _floors(trainer: Trainer, goal: Goal) -> dict[str, float]:
    """The floors of the datasets that get steps: the others are not trained, so they must not prolong the trial."""
    trained = {name for name, dataset in trainer.config.active.items() if dataset.share > 0}
    return {key: f for key, f in goal.floors.items() if (parts := split_metric(key)) and parts[1] in trained}


def _primary(trainer: Trainer, metrics: Mapping[str, float]) -> dict[str, float]:
    """Each dataset's primary validation metric, of those that were measured."""
    return {name: metrics[key] for name, key in trainer.primary.items() if key in metrics}
