"""Small studies for the tests of trackers and reports: three trials that ended in three ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from raytune_planes.fold_metrics import of_fold, together
from raytune_planes.records import Action, Decision, End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.tracking import DataDescription, StudyEnd, StudyStart, Tracker

GOAL = Goal((Objective("val/fgvc/accuracy"), Objective("val/hrplanes/iou")), {"val/planesnet/accuracy": 0.9})
CONFIG = {"optim.lr": 0.002, "datasets.fgvc.head.depth": 1, "datasets.fgvc.weight": 1.0, "seed": 7}

START = StudyStart(
    name="quick-1",
    goal=GOAL,
    about="Which weights lift FGVC?",
    space="quick",
    space_digest="0123456789abcdef",
    space_text="about: Which weights lift FGVC?\n",
    searched=("optim.lr", "datasets.fgvc.head.depth"),
    seed=7,
    trials=3,
    data={"fgvc": DataDescription("f00d", {"train": 40, "val": 20}, synthetic=True)},
    commit="abc123",
    versions={"python": "3.11"},
    started_ms=1_700_000_000_000,
)
FINISH = StudyEnd(End.COMPLETED, "3 of 3 trials done", 1_700_000_900_000)


def epoch(number: int, fgvc: float, iou: float = 0.5, planesnet: float = 0.95, **more: float) -> EpochRecord:
    """An epoch of three datasets, two steps each."""
    metrics = {
        "train/fgvc/loss": 3.0 / number,
        "train/fgvc/classification_loss": 2.0 / number,
        "train/fgvc/contrastive_loss": 1.0 / number,
        "train/fgvc/cross_entropy": 6.0 / number,
        "train/fgvc/accuracy": fgvc + 0.1,
        "train/total/loss": 4.0 / number,
        "val/fgvc/accuracy": fgvc,
        "val/fgvc/loss": 2.5,
        "val/fgvc/cross_entropy": 4.5,
        "val/hrplanes/iou": iou,
        "val/hrplanes/accuracy": 0.9,
        "val/planesnet/accuracy": planesnet,
    }
    decisions = (Decision("planesnet", Action.REST, number, "no gain in 2 epochs"),) if number == 2 else ()
    time_ms = START.started_ms + 1000 * number
    resting = tuple(d.dataset for d in decisions)
    return EpochRecord(number, 6 * number, 192 * number, {**metrics, **more}, resting, decisions, 1.5, time_ms)


def trial(number: int, drawn: Mapping[str, object] | None = None) -> TrialRecord:
    """A trial that has just started."""
    values = dict(drawn or {})
    started = START.started_ms + 10_000 * number
    tags = {"host": "here", "pool": "cpu"}
    return TrialRecord(f"ab{number:02d}", number, values, {**CONFIG, **values}, started_ms=started, tags=tags)


def ended(record: TrialRecord, end: End, reason: str, *epochs: EpochRecord) -> TrialRecord:
    return replace(record, end=end, reason=reason, epochs=epochs, ended_ms=record.started_ms + 5000)


def three_trials() -> tuple[TrialRecord, ...]:
    """The defaults (complete), one that failed with a NaN, one that was pruned although it led, one better than all."""
    lost = epoch(1, 0.1, **{"val/fgvc/loss": float("nan")})
    return (
        ended(trial(0), End.COMPLETED, "3 epochs", epoch(1, 0.1), epoch(2, 0.3), epoch(3, 0.2)),
        ended(trial(1, {"optim.lr": 0.9}), End.FAILED, "val/fgvc/loss is no number at epoch 1", lost),
        ended(trial(2, {"optim.lr": 0.01}), End.PRUNED, "rank 3 of 3 at epoch 1", epoch(1, 0.99)),
        ended(
            trial(3, {"optim.lr": 0.004, "datasets.fgvc.head.depth": 2}),
            End.CONVERGED,
            "all datasets rest",
            epoch(1, 0.2),
            epoch(2, 0.5, iou=0.6, planesnet=0.93),
        ),
    )


def on_folds(record: TrialRecord, *values: float) -> TrialRecord:
    """``record`` as a trial of as many folds, one epoch each, whose first objective has these values."""
    epochs, ended = list[EpochRecord](), list[dict[str, float]]()
    for fold, value in enumerate(values, start=1):
        one = epoch(fold, value, **{"val/fgvc/images": 20.0})
        ended.append(dict(one.metrics))
        metrics = of_fold(fold, one.metrics) | together(ended)
        epochs.append(replace(one, metrics=metrics, fold=fold, result=ended[-1], decisions=()))
    config = {**record.config, "split.kind": "kfold", "split.folds": len(values)}
    return replace(record, config=config, epochs=tuple(epochs))


def play(tracker: Tracker, *, start: StudyStart = START, trials: tuple[TrialRecord, ...] | None = None) -> None:
    """Tell a tracker the whole of a study, two trials at a time as a driver would."""
    records = three_trials() if trials is None else trials
    tracker.start_study(start)
    for record in records:
        tracker.start_trial(replace(record, end=End.RUNNING, reason="", epochs=(), ended_ms=0))
        for one in record.epochs:
            tracker.log_epoch(record.trial_id, one)
    for record in records:
        tracker.end_trial(record)
    tracker.end_study(FINISH)


def artifact(folder: Path, name: str = "best.pt", content: bytes = b"weights") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name
