"""The results of the best trial fold by fold, where it was trained on every fold: their mean and its uncertainty."""

from __future__ import annotations

from raytune_planes.fold_metrics import results, with_error
from raytune_planes.records import HIGHER_IS_BETTER, Goal, TrialRecord
from raytune_planes.report.formatting import shown, table
from raytune_planes.report.intervals import of_folds

HEADS = ("metric", "mean ± standard error", "95 % interval", "of each fold")
NOTE = (
    "Intervals over folds: 95 %, by Student's t. Folds share training pictures, so that these intervals tend to be too "
    "narrow (Bengio and Grandvalet 2004)."
)


def rows(trial: TrialRecord, goal: Goal) -> tuple[tuple[str, str, str, str], ...]:
    """One row for each metric of the goal, as ``HEADS`` says; none for a trial without folds."""
    folds, best = results(trial), trial.best(goal)
    keys = dict.fromkeys([*(o.metric for o in goal.objectives), *goal.floors])
    found = []
    for key in [key for key in keys if best and key in best.metrics and len(folds) > 1]:
        assert best is not None
        values = [fold[key] for fold in folds]
        ends = of_folds(values)
        if ends and key.rsplit("/", 1)[1] in HIGHER_IS_BETTER:
            ends = max(0.0, ends[0]), min(1.0, ends[1])
        interval = f"{shown(ends[0])} to {shown(ends[1])}" if ends else "-"
        found.append((key, with_error(key, best.metrics), interval, ", ".join(map(shown, values))))
    return tuple(found)


def as_lines(trial: TrialRecord, goal: Goal) -> list[str]:
    """The same as a table for a terminal; empty for a trial without folds."""
    found = rows(trial, goal)
    if not found:
        return []
    return [f"trial {trial.number} over its {len(results(trial))} folds", *table(HEADS, found), f"  {NOTE}"]


def place(trial: TrialRecord, epoch: int) -> str:
    """``epoch 5``, or ``the best epochs of 3 folds``: where a result is from."""
    folds = len(results(trial))
    return f"the best epoch{'s' * (folds > 1)} of {folds} fold{'s' * (folds > 1)}" if folds else f"epoch {epoch}"
