"""A study's final training: its choice and the defaults again at a long budget, and which of the two holds there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from raytune_planes.floors import DEFAULTS
from raytune_planes.records import Goal, TrialRecord
from raytune_planes.tracking.files import FINAL, WEIGHTS, load_json, save_json, trial_folder
from raytune_planes.tracking.gains import Gain, best_of, defaults_trial, gains, missed_in_words
from raytune_planes.tracking.reading import MALFORMED, StudyFiles, read_trial

FILE = "final.json"
MARK = "final"
"""The tag of a record of this kind: its epochs."""


@dataclass(frozen=True)
class Final:
    """The final training, as its records say."""

    epochs: int
    """The long budget."""
    number: int
    """Of the trial that the search chose; 0 where nothing beat the defaults."""
    defaults: TrialRecord | None
    """At the long budget, as far as it has got; None before it begins. Like ``choice``."""
    choice: TrialRecord | None
    goal: Goal
    """The study's, with floors that follow the defaults at the long budget."""

    @property
    def trained(self) -> tuple[TrialRecord, ...]:
        """The trainings that have begun; one where the choice is the defaults."""
        both = (self.defaults, self.choice) if self.number else (self.defaults,)
        return tuple(each for each in both if each is not None)

    @property
    def has_ended(self) -> bool:
        asked = 2 if self.number else 1
        return sum(each.end.is_complete or each.end == "failed" for each in self.trained) == asked

    @cached_property
    def held(self) -> TrialRecord | None:
        """The training that is handed over: the choice where it keeps every floor and beats the defaults, else the
        defaults where they do; None where neither keeps them, or before both have ended."""
        return next((each for each in (self.choice, self.defaults) if each and self._holds(each)), None)

    def _holds(self, trained: TrialRecord) -> bool:
        result, defaults = self._score(trained), self._score(self.defaults)
        if not self.has_ended or result is None or not result[0]:
            return False
        return trained.number == 0 or defaults is None or not defaults[0] or result[1] > defaults[1]

    def _score(self, trained: TrialRecord | None) -> tuple[bool, float] | None:
        """Whether it keeps every floor, and its score; None where it has no result."""
        epoch = trained.best(self.goal) if trained and trained.end.is_complete else None
        return (self.goal.feasible(epoch.metrics), self.goal.score(epoch.metrics)) if epoch else None

    @property
    def verdict(self) -> str:
        """Which of the two holds at the long budget, and why the other does not, in words."""
        at = f"at {self.epochs} epochs"
        if not self.has_ended:
            done = [f"{called(t.number)} {len(t.epochs)} epochs" for t in self.trained]
            return f"the final training of {self.epochs} epochs has not ended ({', '.join(done) or 'not begun'})"
        if self.choice is None or self.number == 0:
            kept = "" if self.held else f", but {self._fault(self.defaults)}: no model is handed over"
            return f"{at} the defaults, which no trial beat, are trained alone{kept}"
        mine, usual = self._score(self.choice), self._score(self.defaults)
        if self.held is self.choice:
            beside = f"; the defaults have {self._fault(self.defaults)}" if usual is None else ""
            beside = f"; the defaults: {self._fault(self.defaults)}" if usual and not usual[0] else beside
            if usual and usual[0] and mine:
                beside = f" and beats the defaults, {mine[1]:.4f} against {usual[1]:.4f}"
            return f"{at} {called(self.number)} holds: it keeps every floor{beside}"
        if mine and usual and mine[0] and usual[0]:
            why = f"no longer beats the defaults, {mine[1]:.4f} against {usual[1]:.4f}"
        else:
            why = f"does not hold: {self._fault(self.choice)}"
        if self.held is not None:
            return f"{at} {called(self.number)} {why}; the defaults are handed over"
        nor = f"nor do the defaults: {self._fault(self.defaults)}"
        return f"{at} {called(self.number)} {why}; {nor}; no model is handed over"

    def _fault(self, trained: TrialRecord | None) -> str:
        """Why a training cannot hold: it failed, or which floors it misses."""
        epoch = trained.best(self.goal) if trained and trained.end.is_complete else None
        if epoch is None:
            return f"no result ({trained.reason if trained else 'not trained'})"
        return missed_in_words(self.goal, epoch.metrics)


@dataclass(frozen=True)
class Handed:
    """A training and where it lies: the one whose model a study hands over, or one at the long budget."""

    trial: TrialRecord
    goal: Goal
    """Which ranks its epochs."""
    folder: Path
    """Holds its ``best.pt`` and ``config.yaml``."""
    epochs: int = 0
    """The long budget; 0 where it is a trial of the search."""

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS


@dataclass(frozen=True)
class Row:
    """One validation metric at both budgets; NaN where it was not measured."""

    short: Gain
    before: float
    """Of the defaults at the long budget."""
    after: float
    """Of the choice there."""


def begin(study: Path, epochs: int, number: int, trial_id: str) -> None:
    """Note which trial the search chose, before it and the defaults are trained."""
    (study / FINAL).mkdir(exist_ok=True)
    save_json(study / FINAL / FILE, {"epochs": epochs, "number": number, "trial_id": trial_id})


def final_folder(study: Path, trial: TrialRecord, epochs: int) -> Path:
    """Where ``trial`` of the search is trained again: ``<study>/final/0003-<trial_id>-24``."""
    return study / FINAL / f"{trial.number:04d}-{trial.trial_id}-{epochs}"


def read_final(study: StudyFiles) -> Final | None:
    """The final training of ``study``; None where none has begun, or its file is damaged: resuming makes it again."""
    path = study.folder / FINAL / FILE
    try:
        stored = load_json(path) if path.is_file() else {}
        epochs, number = int(stored["epochs"]), int(stored["number"])
    except (OSError, *MALFORMED):
        return None
    found = {n: _read(study, n, epochs) for n in (0, number)}
    return Final(epochs, number, found[0], found[number], long_goal(study, found[0]))


def long_goal(study: StudyFiles, defaults: TrialRecord | None) -> Goal:
    """The study's goal at the long budget: floors that follow the defaults follow ``defaults``, trained there.

    Floors that follow a dataset trained alone keep the value of the trials' budget, the only one that it has.
    """
    goal = study.start.goal
    follows = {key for key, floor in goal.relative.items() if floor.reference == DEFAULTS}
    others = replace(goal, floors={key: floor for key, floor in goal.floors.items() if key not in follows})
    epoch = defaults.best(others) if defaults and defaults.end.is_complete else None
    return others.with_references(epoch.metrics if epoch else {}, study.alone)


def handed_over(study: StudyFiles) -> Handed | None:
    """What held at the long budget, else the best trial of the search; None where it misses a floor."""
    final = read_final(study)
    if final and final.has_ended and any(each.end.is_complete for each in final.trained):
        return next((each for each in long_runs(study) if final.held and each.trial == final.held), None)
    best, goal = best_of(study), study.start.goal
    epoch = best.best(goal) if best else None
    if best is None or epoch is None or not goal.feasible(epoch.metrics):
        return None
    return Handed(best, goal, trial_folder(study.folder, best.number, best.trial_id))


def long_runs(study: StudyFiles) -> Iterator[Handed]:
    """The trainings at the long budget that have begun."""
    final = read_final(study)
    if final is None:
        return
    for record in final.trained:
        source = next(t for t in study.trials if t.number == record.number)
        yield Handed(record, final.goal, final_folder(study.folder, source, final.epochs), final.epochs)


def rows(study: StudyFiles, final: Final) -> tuple[Row, ...]:
    """The metrics of the study's tables at both budgets, for the trial that the final training took as the choice."""
    chosen = next((t for t in study.trials if t.number == final.number), None) or defaults_trial(study)
    if chosen is None:
        return ()
    long = [t.best(final.goal) if t and t.end.is_complete else None for t in (final.defaults, final.choice)]
    before, after = (dict(epoch.metrics) if epoch else {} for epoch in long)
    return tuple(Row(g, before.get(g.metric, math.nan), after.get(g.metric, math.nan)) for g in gains(study, chosen))


def called(number: int) -> str:
    """The training of the trial ``number``, in words."""
    return f"trial {number}" if number else "the defaults"


def _read(study: StudyFiles, number: int, epochs: int) -> TrialRecord | None:
    source = next((t for t in study.trials if t.number == number), None)
    try:
        return read_trial(final_folder(study.folder, source, epochs))[0] if source else None
    except (OSError, *MALFORMED):
        return None
