"""How the trials of a study are told apart in MLflow at a glance: the name, rank, floors and description of each."""

from __future__ import annotations

from raytune_planes.records import End, TrialRecord
from raytune_planes.tracking.gains import best_of, missed_in_words
from raytune_planes.tracking.mlflow_fields import LONGEST, NOTE, trial_name, trial_note
from raytune_planes.tracking.mlflow_notes import best_note
from raytune_planes.tracking.mlflow_runs import NAME
from raytune_planes.tracking.reading import StudyFiles

STAR = "★"
RANK, FLOORS = "rank", "floors"
"""Tags. Sorted by the first, ascending, the best trial comes first and what has no result last."""
BEST = "0 best"
COLOR = "mlflow.runColor"
"""The tag of the colour that the UI draws a run in; where it is empty, one of the UI's own."""
OF_BEST, OF_DEFAULTS, OF_OTHERS, OWN = "#d55e00", "#000000", "#b0b7bf", ""
"""The best, the defaults, those that are no result (pruned, paused, failed), and all other trials."""


def looks(study: StudyFiles, report: str) -> dict[str, dict[str, str]]:
    """The id of each trial -> name and tags of its run. They change when another trial becomes the best.

    Args:
        report: Address of the study's report inside the UI; empty where it is not in this store.
    """
    best = best_of(study) if max(study.start.trials, len(study.trials)) > 1 else None
    return {trial.trial_id: _look(study, trial, best, report) for trial in study.trials}


def _look(study: StudyFiles, trial: TrialRecord, best: TrialRecord | None, report: str) -> dict[str, str]:
    epoch = trial.best(study.start.goal)
    missed = missed_in_words(study.start.goal, epoch.metrics) if epoch else ""
    kept = "kept" if epoch and study.start.goal.floors else "-"
    look = {
        NAME: trial_name(trial) + _suffix(trial, missed),
        FLOORS: (missed or kept)[:LONGEST],
        RANK: _rank(trial, missed),
        COLOR: OF_DEFAULTS if trial.number == 0 else OWN if trial.end.is_complete or trial.end.is_open else OF_OTHERS,
    }
    if trial is not best:
        return look | {NOTE: trial_note(trial)}
    defaults = " (defaults)" if trial.number == 0 else ""
    marks = {NAME: f"{STAR} {trial.number:03d} best{defaults}", RANK: BEST, COLOR: OF_BEST}
    return look | marks | {NOTE: best_note(study, trial, report)}


def _suffix(trial: TrialRecord, missed: str) -> str:
    """The columns of tags stand far to the right in the UI, the name in front."""
    if trial.end in (End.PRUNED, End.PAUSED, End.FAILED):
        return f", {trial.end}"
    return ", below a floor" if missed and trial.end.is_complete else ""


def _rank(trial: TrialRecord, missed: str) -> str:
    if trial.end.is_complete:
        return "2 below a floor" if missed else "1 complete"
    return {End.PRUNED: "3 pruned", End.PAUSED: "3 paused", End.FAILED: "4 failed"}.get(trial.end, "5 not ended")
