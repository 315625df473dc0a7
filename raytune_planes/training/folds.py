"""A trial on every fold: one configuration trained on fold after fold; the mean over the folds is its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from raytune_planes.config import TrialConfig
from raytune_planes.fold_metrics import of_fold, together
from raytune_planes.records import End, EpochRecord, Goal
from raytune_planes.training import checkpoint
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.training.ended import load_state
from raytune_planes.training.loop import Report, train
from raytune_planes.training.stages import Done, Fork, Supply, train_stages
from raytune_planes.training.workers import LocalWorker, Worker

NOTHING = Done()


def train_trial(
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
    """Train a trial of a study to its end: on every fold where ``split.kind`` is ``kfold``, else as ``train_stages``.

    Each fold is a training of its own, from the first weights to the end of its budget: what ``split.fold`` alone would
    give. Epochs, steps and samples count on from fold to fold. After the last epoch of a fold ``report`` gets the means
    over the folds so far, each fold at its best epoch, and can end the trial between two folds.

    Args:
        supply: Called at the start of each stage or fold with its configuration.
        resume: A ``last.pt``: continues within the fold that wrote it, with the same metrics.
        fork: Of ``train_stages``.

    Returns:
        How it ended, and why.
    """
    worker = worker or LocalWorker(config.devices.vision)
    more: dict[str, Any] = {"worker": worker, "pieces": pieces, "say": say}
    if config.split.kind != "kfold":
        return train_stages(config, supply, goal, resume=resume, report=report, fork=fork, **more)
    assert not config.plan, "a space with a plan and folds is refused"
    behind = _Behind.of(resume) if resume else _Behind()
    for fold in range(behind.fold, config.split.folds + 1):
        mine = on_fold(config, fold)
        behind.fold = fold
        within = resume if fold == behind.resumed else None
        end, reason = train(mine, *supply(mine), goal, resume=within, report=_counted(report, mine, behind), **more)
        if not end.is_complete:
            return end, f"fold {fold}: {reason}" if end is End.FAILED else reason
        behind.before, behind.best = behind.now, {}
    if behind.converged == config.split.folds:
        return End.CONVERGED, f"every dataset rests on each of {config.split.folds} folds"
    return End.COMPLETED, f"all {config.split.folds} folds are trained"


def on_fold(config: TrialConfig, fold: int) -> TrialConfig:
    """The configuration that validates on ``fold``, from 1."""
    return config.model_copy(update={"split": config.split.model_copy(update={"fold": fold - 1})})


@dataclass
class _Behind:
    """What a trial has behind it: whole folds, and the best epoch of the one that it is in."""

    fold: int = 1
    before: Done = NOTHING
    """When this fold began."""
    now: Done = NOTHING
    """After the last epoch."""
    best: Mapping[str, float] = field(default_factory=dict)
    """Metrics of this fold's best epoch so far."""
    results: list[Mapping[str, float]] = field(default_factory=list)
    """The same of each fold that has ended."""
    converged: int = 0
    """Folds that ended because all datasets rested."""
    resumed: int = 0
    """The fold that continues from a checkpoint."""

    @staticmethod
    def of(resume: Path) -> _Behind:
        """Raises UserError where the checkpoint cannot be read, or is of no trial on every fold."""
        state = load_state(resume)
        with checkpoint.content_of(resume):
            kept = dict(state["folds"])
            dones = {name: Done(**kept[name]) for name in ("before", "now")}
            return _Behind(**{**kept, **dones, "results": list(kept["results"]), "resumed": kept["fold"]})


def _counted(report: Report, config: TrialConfig, behind: _Behind) -> Report:
    """``report``, told of this fold in numbers of the whole trial, and at its end of the mean so far."""

    def counted(record: EpochRecord, kept: Checkpoint) -> None:
        if kept.is_best or not behind.best:
            behind.best = dict(record.metrics)
        all_rest = set(record.resting) >= set(config.active)
        metrics, result = of_fold(behind.fold, record.metrics), dict[str, float]()
        if all_rest or record.epoch >= config.budget.epochs:
            result = dict(behind.best)
            behind.results.append(result)
            behind.converged += all_rest
            metrics |= together(behind.results)
        whole = replace(behind.before.then(record, ""), metrics=metrics, fold=behind.fold, result=result)
        behind.now = Done(whole.epoch, whole.step, whole.samples)
        state = {**kept.state, "folds": asdict(behind)}
        report(whole, replace(kept, state=state, fold=behind.fold))

    return counted
