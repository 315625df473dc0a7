"""The course of one trial in the published terms, from our records or from a log of the published work."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from raytune_planes.errors import UserError
from raytune_planes.fold_metrics import course
from raytune_planes.paths import regular
from raytune_planes.printing import printable
from raytune_planes.records import Decision, TrialRecord
from raytune_planes.tracking.base import StudyStart
from raytune_planes.tracking.published import NAMES, published_log

NAME = re.compile(r"[\w .-]{1,64}")
"""Of a dataset: it becomes the name of files."""
LARGEST = 100_000
"""Samples of a split; no larger count is guessed from accuracies."""


@dataclass(frozen=True)
class Log:
    """Per epoch and dataset: accuracies in [0, 1] and losses."""

    title: str
    epochs: tuple[int, ...]
    datasets: tuple[str, ...]
    values: Mapping[tuple[str, str, str], tuple[float, ...]]
    """(split, dataset, published name) -> one value per epoch, NaN where not measured. No key: never measured."""
    counts: Mapping[str, Mapping[str, int]]
    """Dataset -> split -> samples."""
    counted: bool = True
    """False: the log names no counts, and these are the smallest that its accuracies allow."""
    loss_unit: str = "loss (nats)"
    decisions: tuple[Decision, ...] = field(default=())

    def series(self, split: str, dataset: str, name: str) -> tuple[float, ...]:
        """One value per epoch; empty when it was never measured."""
        return self.values.get((split, dataset, name), ())


def of_trial(trial: TrialRecord, start: StudyStart) -> Log:
    """The course of one of our trials; rests and wakes with it."""
    name = "the defaults" if trial.number == 0 else f"trial {trial.number}"
    name += " on its first fold" if any(e.fold for e in trial.epochs) else ""
    decisions = tuple(d for e in course(trial) for d in e.decisions)
    counts = {d: dict(described.counts) for d, described in start.data.items()}
    return _log(name, published_log(trial), counts=counts, decisions=decisions)


def read_log(path: Path) -> Log:
    """A file in the published format.

    Raises:
        UserError: it cannot be read or has another form.
    """
    try:
        entries = json.loads(regular(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no file {path}; give a study's name or the path of a log") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from None
    try:
        log = _log(printable(path.stem), entries, loss_unit="loss")
    except (TypeError, KeyError, ValueError, AttributeError):
        raise UserError(
            f"{path} is no training log; expected a list of "
            '{"epoch": 1, "train": {dataset: {"total_loss": ..., "accuracy": ...}}, "val": {dataset: {...}}}'
        ) from None
    if not log.epochs or not log.datasets:
        raise UserError(f"{path} holds no epoch with a dataset; there is nothing to show")
    counts = {d: _smallest(log, d) for d in log.datasets}
    return Log(log.title, log.epochs, log.datasets, log.values, counts, counted=False, loss_unit=log.loss_unit)


def _log(title: str, entries: Sequence[Mapping[str, Any]], **more: Any) -> Log:
    """A term that is 0 in every epoch is one that its dataset does not have: the format has no other word for it."""
    datasets = dict.fromkeys(d for e in entries for split in ("val", "train") for d in e[split])
    if odd := [name for name in datasets if not NAME.fullmatch(name)]:
        raise ValueError(f"{odd[0]!r} is not the name of a dataset")
    values = {}
    for split, names in NAMES.items():
        for dataset in datasets:
            for name in names:
                series = tuple(float(e[split].get(dataset, {}).get(name, math.nan)) for e in entries)
                if any(math.isfinite(v) and (v != 0 or not name.endswith("loss")) for v in series):
                    values[split, dataset, name] = series
    epochs = tuple(int(e["epoch"]) for e in entries)
    return Log(title, epochs, tuple(sorted(datasets)), values, **{"counts": {}, **more})


def _smallest(log: Log, dataset: str) -> dict[str, int]:
    """The smallest count of each split for which every logged accuracy is a whole number of samples."""
    counts = {}
    for split in NAMES:
        shares = [v for v in log.series(split, dataset, "accuracy") if math.isfinite(v)]
        count = math.lcm(*(Fraction(v).limit_denominator(LARGEST).denominator for v in shares))
        if 1 < count <= LARGEST:
            counts[split] = count
    return counts
