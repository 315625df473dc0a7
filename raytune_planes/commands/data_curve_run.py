"""The study's choice trained on a quarter, a half and all of its training pictures, for ``report --data-curve``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from raytune_planes.commands.study_data import study_arrays
from raytune_planes.commands.training_run import TrainingRun
from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.cache import LIMIT_GIB
from raytune_planes.datasets.folds import parted
from raytune_planes.errors import UserError
from raytune_planes.invocation import command, in_folder
from raytune_planes.preparation.data import data_folder
from raytune_planes.processors import tensor_threads
from raytune_planes.records import End, TrialRecord
from raytune_planes.report.explain import places, saved_arguments
from raytune_planes.settings import make_config
from raytune_planes.stores.address import Place
from raytune_planes.tracking import files
from raytune_planes.tracking.data_curve import (
    IN_WORDS,
    MARK,
    PICTURES,
    SHARES,
    begin,
    chosen,
    read_curve,
    share_folder,
)
from raytune_planes.tracking.final import Handed, called
from raytune_planes.tracking.jsonl import trial_to_json
from raytune_planes.tracking.reading import StudyFiles, trial_end_to_json
from raytune_planes.tuning.budget import long_seconds
from raytune_planes.tuning.lease import Lease


@dataclass(frozen=True)
class _Share:
    """One of the trainings before it begins."""

    share: float
    config: TrialConfig
    folder: Path
    pictures: Mapping[str, str]
    """By dataset: how many train, and how many classes they show."""


def train_curve(study: StudyFiles, data: Place | None, cache: Path | None) -> bool:
    """Train what the study hands over on each of ``SHARES`` of its training pictures, into ``STUDY/data-curve``.

    A share that is done is not trained again, and one that was cut off goes on from its last epoch.

    Args:
        data: the study's pictures where they have moved; None for where they were. Like ``cache``.

    Returns:
        Whether every share has a result.

    Raises:
        UserError: no trial has finished, the pictures are not those of the study, or another process trains the curve.
        KeyboardInterrupt: it goes on when it is asked for again.
    """
    choice = chosen(study)
    if choice is None:
        again = command(f"tune --resume {study.start.name}{in_folder(study.folder.parent)}")
        raise UserError(
            f"--data-curve trains the best trial of study '{study.start.name}' on parts of its data, and no trial has "
            f"finished; continue the study with '{again}', or leave out --data-curve"
        )
    whole = make_config(choice.trial.config, source=str(choice.folder))
    arrays = study_arrays(study, whole, data, cache)
    with Lease(study.folder / files.CURVE):
        begin(study, choice)
        curve = read_curve(study)
        done = {share for share, record in curve.trained.items() if record.end.is_complete} if curve else set()
        shares = [_share(study, choice, arrays, share) for share in SHARES if share not in done]
        if shares:
            print(_announced(choice, whole, shares), flush=True)
        try:
            for each in shares:
                _train(study, choice, each, data, cache)
        except KeyboardInterrupt:
            name = f"{study.start.name}{in_folder(study.folder.parent)}"
            print(f"\nContinue the data curve with: {command(f'report {name} --data-curve')}")
            raise
    curve = read_curve(study)
    return curve is not None and curve.has_ended


def share_config(trial: TrialRecord, share: float) -> TrialConfig:
    """The settings of ``trial`` with a share of the training pictures, and no rests: a dataset that rested at one share
    and not at another would get other steps there."""
    rests = {path: "none" for path in trial.config if path.endswith("stopping.rule")}
    return make_config(trial.config, {**rests, "split.use": share}, source="the data curve")


def _share(study: StudyFiles, choice: Handed, arrays: Mapping[str, Arrays], share: float) -> _Share:
    config = share_config(choice.trial, share)
    pictures = {}
    for name, whole in arrays.items():
        train_N = parted(whole, config.split).splits["train"]
        classes = len(set(whole.labels_N[train_N].tolist()))
        pictures[name] = f"{len(train_N):,} of {classes:,} classes"
    return _Share(share, config, share_folder(study, choice.trial.number, choice.epochs, share), pictures)


def _announced(choice: Handed, config: TrialConfig, shares: list[_Share]) -> str:
    """What is trained, and how long it takes by what the trial took."""
    record = choice.trial
    epochs = sum(stage.budget.epochs for _, stage in config.staged)
    seconds = len(shares) * long_seconds(record, epochs)
    names = " and ".join(", ".join(IN_WORDS[each.share] for each in shares).rsplit(", ", 1))
    return (
        f"data curve: {called(record.number)} trained on {names} of the training pictures, {epochs} epochs and "
        f"{config.samples:,} samples each, without rests; about {max(1, round(seconds / 60))} min, by what it took"
    )


def _train(study: StudyFiles, choice: Handed, each: _Share, data: Place | None, cache: Path | None) -> None:
    where, cached = places(study, data, cache)
    limit = float(saved_arguments(study).get("cache_limit", LIMIT_GIB))
    pictures = ", ".join(f"{name} {text}" for name, text in each.pictures.items())
    print(f"\ndata curve, {IN_WORDS[each.share]} of the training pictures: {pictures}", flush=True)
    long = f"-final{choice.epochs}" if choice.epochs and "-final" not in choice.trial.trial_id else ""
    tags = {MARK: f"{each.share:g}", **{PICTURES + name: text for name, text in each.pictures.items()}}
    run = TrainingRun(each.config, each.folder, resume=(each.folder / files.LAST).is_file())
    now = int(time.time() * 1000)
    record = replace(
        run.record,
        trial_id=f"{choice.trial.trial_id}{long}-share{each.share:g}",
        number=choice.trial.number,
        drawn=dict(choice.trial.drawn),
        started_ms=_started_ms(each.folder) or now,
        tags=tags,
    )
    _begin(each.folder, record)
    with tensor_threads(each.config.devices.threads):
        run.train(data_folder(where, cached, limit), cached, cache_limit_gib=limit, goal=choice.goal)
    end, reason = run.record.end, run.record.reason
    record = replace(record, epochs=run.record.epochs, end=end, reason=reason, ended_ms=int(time.time() * 1000))
    files.save_json(each.folder / files.END, trial_end_to_json(record))
    if end is End.FAILED:
        print(f"data curve: the training on {IN_WORDS[each.share]} of the pictures has no result: {reason}")


def _begin(folder: Path, record: TrialRecord) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / files.END).unlink(missing_ok=True)
    files.save_json(folder / files.TRIAL, trial_to_json(record))


def _started_ms(folder: Path) -> int:
    """When a training that goes on began; 0 for a new one."""
    known = files.load_json(folder / files.TRIAL) if (folder / files.TRIAL).is_file() else {}
    return int(known.get("started_ms", 0))
