"""A study's data curve: its choice trained again on shares of the training pictures, as its records say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from raytune_planes.errors import UserError
from raytune_planes.records import Goal, TrialRecord
from raytune_planes.tracking.files import CURVE, load_json, save_json, trial_folder
from raytune_planes.tracking.final import Handed, handed_over, long_goal, read_final
from raytune_planes.tracking.gains import best_of
from raytune_planes.tracking.reading import MALFORMED, StudyFiles, read_trial

FILE = "data-curve.json"
SHARES = (0.25, 0.5, 1.0)
"""Of the training pictures, each part of the next."""
IN_WORDS: Mapping[float, str] = {0.25: "¼", 0.5: "½", 1.0: "all"}
MARK = "data_share"
"""The tag of a record of this kind: its share."""
PICTURES = "pictures."
"""Begins the tags of such a record with the training pictures of each dataset, and with how many classes they show:
``pictures.fgvc`` is ``1,667 of 100 classes``."""


@dataclass(frozen=True)
class DataCurve:
    """The trainings of one choice, as far as they have got."""

    number: int
    """Of the trial whose settings they have."""
    epochs: int
    """The long budget, where the study's final training had handed it over; 0 for that of a trial."""
    goal: Goal
    """Ranks their epochs."""
    trained: Mapping[float, TrialRecord]
    """By share, those that have begun."""

    @property
    def has_ended(self) -> bool:
        """Whether each share has a result."""
        return all(share in self.trained and self.trained[share].end.is_complete for share in SHARES)


def chosen(study: StudyFiles) -> Handed | None:
    """What a data curve trains: the model that the study hands over, else its best trial where that misses a floor;
    None where no trial has finished."""
    handed, best = handed_over(study), best_of(study)
    if handed or best is None:
        return handed
    return Handed(best, study.start.goal, trial_folder(study.folder, best.number, best.trial_id))


def begin(study: StudyFiles, choice: Handed) -> None:
    """Note what is trained on shares of the data, before it is; an earlier choice's trainings stay where they are."""
    source = _source(study, choice.trial.number)
    (study.folder / CURVE).mkdir(exist_ok=True)
    named = {"epochs": choice.epochs, "number": source.number, "trial_id": source.trial_id}
    save_json(study.folder / CURVE / FILE, named)


def share_folder(study: StudyFiles, number: int, epochs: int, share: float) -> Path:
    """Where the trial ``number`` is trained on a share: ``<study>/data-curve/0003-<trial_id>/0.25``; the name of the
    trial ends with a long budget."""
    source = _source(study, number)
    long = f"-{epochs}" if epochs else ""
    return study.folder / CURVE / f"{source.number:04d}-{source.trial_id}{long}" / f"{share:g}"


def read_curve(study: StudyFiles) -> DataCurve | None:
    """The data curve of ``study``; None where none has begun, or its file is damaged."""
    path = study.folder / CURVE / FILE
    try:
        stored = load_json(path) if path.is_file() else {}
        epochs, number, trial_id = int(stored["epochs"]), int(stored["number"]), str(stored["trial_id"])
    except (OSError, UserError, *MALFORMED):
        return None
    if not any((t.number, t.trial_id) == (number, trial_id) for t in study.trials):
        return None
    goal = study.start.goal
    if epochs:
        final = read_final(study)
        goal = long_goal(study, final.defaults if final and final.epochs == epochs else None)
    found = {share: _read(share_folder(study, number, epochs, share)) for share in SHARES}
    return DataCurve(number, epochs, goal, {share: record for share, record in found.items() if record})


def curve_runs(study: StudyFiles) -> Iterator[Handed]:
    """The trainings on shares that have begun."""
    curve = read_curve(study)
    for share, record in curve.trained.items() if curve else ():
        assert curve is not None
        folder = share_folder(study, curve.number, curve.epochs, share)
        yield Handed(record, curve.goal, folder, curve.epochs)


def _source(study: StudyFiles, number: int) -> TrialRecord:
    return next(t for t in study.trials if t.number == number)


def _read(folder: Path) -> TrialRecord | None:
    try:
        return read_trial(folder)[0]
    except (OSError, UserError, *MALFORMED):
        return None
