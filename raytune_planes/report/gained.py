"""What the best trial gained, for a terminal: beside the defaults, and beside each dataset trained alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from raytune_planes.records import EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.report import explain, over_folds
from raytune_planes.report.formatting import shown, signed, table
from raytune_planes.report.intervals import of_difference, of_pictures
from raytune_planes.tracking.gains import Gain, defaults_trial, floor_in_words
from raytune_planes.tracking.reading import StudyFiles


def as_lines(study: StudyFiles, best: TrialRecord, epoch: EpochRecord, gains: Sequence[Gain]) -> list[str]:
    """A table with a line a metric, and what datasets lose by being trained together.

    Args:
        epoch: of ``best``: the one whose metrics are its result.
    """
    goal = study.start.goal
    heads, numbers = columns(best, gains)
    at = f"on the validation split, at {over_folds.place(best, epoch.epoch)} of trial {best.number}"
    note = list[str]()
    if best.number == 0:
        at += ", the defaults; there is no gain to show"
    else:
        first = defaults_trial(study)
        before = first.best(goal) if first else None
        if first is None or before is None:
            note = ["  the defaults' trial has no result, so there is nothing to compare with"]
        else:
            at += f", and at {over_folds.place(first, before.epoch)} of the defaults"
        if not explain.uncertainty(study, best):
            note.append(f"  one seed each: to tell gain from luck, on the test split: {explain.confirmation(study)}")
    rows = [
        (g.metric, *values, str(g.sample or "-"), role(goal, g.metric))
        for g, values in zip(gains, numbers, strict=True)
    ]
    table_lines = table(("metric", *heads, "n", ""), rows, right=range(1, len(heads) + 2))
    return [at, *table_lines, *(f"  {line}" for line in transfer(study, gains)), *note]


def transfer(study: StudyFiles, gains: Sequence[Gain]) -> list[str]:
    """A sentence for the goal's metrics of each dataset that was trained alone: whether the others help or cost it.

    The defaults tell it, whose settings and samples a dataset alone has too: the best trial has other settings.
    """
    named = {o.metric: o for o in study.start.goal.objectives}
    named = {**{key: Objective(key) for key in study.start.goal.floors}, **named}
    lines = []
    for gain in gains:
        difference = gain.before - gain.alone
        if gain.metric in named and math.isfinite(difference):
            better = named[gain.metric].worse_first(difference)  # an error that falls is a gain
            kind = "positive transfer" if better > 0 else "negative transfer" if better < 0 else "no transfer"
            compared = "the defaults beside the dataset trained alone with the same settings"
            lines.append(f"{gain.metric}: {kind}, {difference:+.4f}: {compared}{_luck(gain)}")
    return lines


def _luck(gain: Gain) -> str:
    """Said where the pictures are too few to tell the defaults from the dataset trained alone."""
    n = gain.sample.count if gain.sample else 0
    joint, alone = of_pictures(gain.before, n), of_pictures(gain.alone, n)
    if joint is None or alone is None or gain.before == gain.alone:
        return ""
    low, high = of_difference(gain.before, joint, gain.alone, alone)
    return f"; may be luck with {gain.sample}" if low <= 0 <= high else ""


def columns(best: TrialRecord, gains: Sequence[Gain]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads of the columns of numbers, and a row of them for each gain."""
    has_alone = any(math.isfinite(g.alone) for g in gains)
    rows = []
    for gain in gains:
        of_trials = (
            (shown(gain.before), shown(gain.after), signed(gain.difference)) if best.number else (shown(gain.after),)
        )
        rows.append((*of_trials, *([shown(gain.alone)] if has_alone else [])))
    heads = ("defaults", "best", "gain") if best.number else ("defaults",)
    return (*heads, *(["alone"] if has_alone else [])), rows


def role(goal: Goal, key: str) -> str:
    """What the metric is to the study, in words; empty for one that is only measured."""
    roles = ["objective"] if key in {o.metric for o in goal.objectives} else []
    return ", ".join([*roles, *([f"floor {floor_in_words(goal, key)}"] if key in goal.floors else [])])
