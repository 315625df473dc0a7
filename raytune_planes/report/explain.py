"""Why the best trial is best: the gain in the final check, rests, the nearest other trials, and the next commands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytune_planes.invocation import address_of, command, in_folder, predicting, quoted, told_as
from raytune_planes.pareto import Choice, vector
from raytune_planes.printing import counted
from raytune_planes.records import Goal, TrialRecord
from raytune_planes.report.confirmed import Interval, at_budget, cell, confirmed_gains, read_confirmed
from raytune_planes.report.formatting import shown, table, value_text
from raytune_planes.report.intervals import METHOD
from raytune_planes.stores.address import Place, where
from raytune_planes.tracking.files import ARGUMENTS, BEST, CONFIG, WEIGHTS, trial_folder
from raytune_planes.tracking.final import handed_over
from raytune_planes.tracking.gains import best_of
from raytune_planes.tracking.keeping import is_freed
from raytune_planes.tracking.reading import StudyFiles

NEAREST = 3


@dataclass(frozen=True)
class Alternative:
    """Another trial of the front, seen from the best one."""

    trial: TrialRecord
    differences: tuple[float, ...]
    """Of each objective, positive where this trial is better."""
    changes: tuple[str, ...]
    """Drawn settings in which it differs, as ``path value``."""


def nearest(best: TrialRecord, front: tuple[TrialRecord, ...], goal: Goal) -> tuple[Alternative, ...]:
    """The members of the front that differ least from ``best`` in the objectives, at most three."""
    mine = _vector(best, goal)
    alternatives = []
    for trial in front:
        if trial is not best:
            differences = tuple(b - a for a, b in zip(mine, _vector(trial, goal), strict=True))
            alternatives.append(Alternative(trial, differences, tuple(_changes(best, trial))))
    return tuple(sorted(alternatives, key=lambda a: sum(d * d for d in a.differences))[:NEAREST])


def front_text(choice: Choice, goal: Goal) -> list[str]:
    """The other ways to balance the objectives, where there are several, and what leads to the nearest of them."""
    if len(goal.objectives) < 2 or len(choice.front) < 2:
        return []
    rows = []
    for trial in choice.front:
        epoch = trial.best(goal)
        values = [shown(v) for v in goal.values(epoch.metrics)] if epoch else []
        marks = [m for m, t in (("best", choice.trial), ("knee", choice.knee)) if t is trial]
        rows.append((f"trial {trial.number}", *values, ", ".join(marks)))
    names = [o.metric for o in goal.objectives]
    kept = " that keep every floor" if goal.floors else ""
    heading = f"the front, of complete trials{kept}, at their best epochs; best --prefer METRIC takes another of them"
    near = nearest(choice.trial, choice.front, goal)
    lines = [f"  trial {a.trial.number} has {', '.join(a.changes) or 'the same settings'}" for a in near]
    return [heading, *table(("", *names, ""), rows, right=range(1, len(names) + 1)), "nearest on the front:", *lines]


def uncertainty(study: StudyFiles, trial: TrialRecord) -> dict[str, Interval]:
    """Test metric -> gain over the defaults with its 95 % interval; empty when the trial was not confirmed."""
    return confirmed_gains(read_confirmed(study.folder), trial.number)


def confirmation(study: StudyFiles) -> str:
    """The command that trains the best trials and the defaults again, with other seeds."""
    return command(f"tune --resume {study.start.name}{in_folder(study.folder.parent)} --confirm 3")


def commands(study: StudyFiles, trial: TrialRecord) -> tuple[tuple[str, str], ...]:
    """What people do next with a trial, and the exact line for it."""
    folder = trial_folder(study.folder, trial.number, trial.trial_id)
    whole = study.folder / BEST
    is_best = study.end is not None and trial is best_of(study) and whole.is_file()
    handed = handed_over(study)
    if handed and handed.epochs and trial is best_of(study):  # what held at the long budget
        folder, is_best = handed.folder, False
    weights, data = folder / WEIGHTS, saved_arguments(study).get("data")
    config = whole if is_best else folder / CONFIG
    stored = address_of(study.folder.parent)
    again = command(f"train --config {shlex.quote(told_as(config)) if stored else quoted(config)}")
    again += f" --folds {trial.config['split.folds']}" if any(e.fold for e in trial.epochs) else ""
    if data:
        again += f" --data {quoted(Path(data)) if isinstance(where(data), Path) else shlex.quote(data)}"
    lines = [("train it again", again)]
    if stored:  # what is there is fetched when it predicts
        model = study.folder if trial is best_of(study) else weights.parent
        lines += [("predict with it", predicting(model, "IMAGE..."))] * (not is_freed(weights.parent))
    elif weights.is_file():
        lines.append(("predict with it", predicting(weights, "IMAGE...")))
    return tuple(lines)


def saved_arguments(study: StudyFiles) -> dict[str, Any]:
    """The command line that started the study, by argument; empty when it was not started from one."""
    try:
        stored = json.loads((study.folder / ARGUMENTS).read_bytes())
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def places(study: StudyFiles, data: Place | None, cache: Path | None) -> tuple[Place | None, Path | None]:
    """Where the study's pictures lie, and the decoded ones: ``data`` and ``cache``, else where it started with."""
    line = saved_arguments(study)
    began = where(line["data"]) if line.get("data") else None
    return data or began, cache or (Path(line["cache"]) if line.get("cache") else None)


def rests_text(trial: TrialRecord) -> list[str]:
    return [f"epoch {d.epoch}: {d.dataset} {d.action}s: {d.reason}" for d in trial.decisions]


def rested_text(trial: TrialRecord) -> list[str]:
    """The same under a heading, for a terminal; nothing where no dataset rested."""
    lines = rests_text(trial)
    return ["resting datasets of the best trial", *(f"  {line}" for line in lines)] if lines else []


def interval_text(interval: Interval) -> str:
    """The gain, its interval, and whether luck can explain it; the gain of each seed where they are too few."""
    if interval.low is None:
        seeds = counted(len(interval.values), "seed")
        return f"{cell(interval, gain=True)}; {seeds}, no interval"
    return cell(interval, gain=True) + ("" if interval.is_clear else "; may be luck")


def confirmed_rows(study: StudyFiles, trial: TrialRecord) -> list[tuple[str, str, str]]:
    """Test metric, gain over the defaults in words, and what it was measured on, where a final check was made."""
    intervals = sorted(uncertainty(study, trial).items())
    return [(key, interval_text(gain), str(gain.sample or "-")) for key, gain in intervals]


def confirmed_text(study: StudyFiles, trial: TrialRecord) -> list[str]:
    """The gain on the test split with its uncertainty, where a final check was made."""
    rows = confirmed_rows(study, trial)
    after = at_budget(read_confirmed(study.folder).values())
    heading = f"confirmed on the test split{after}, gain over the defaults, mean over seeds"
    return [heading, *table(("metric", "gain", "n"), rows), f"  {METHOD}"] if rows else []


def _vector(trial: TrialRecord, goal: Goal) -> tuple[float, ...]:
    epoch = trial.best(goal)
    assert epoch is not None, "a member of a front has a result"
    return vector(goal, epoch.metrics)


def _changes(best: TrialRecord, other: TrialRecord) -> Iterator[str]:
    for path in sorted({*best.drawn, *other.drawn}):
        if best.config.get(path) != other.config.get(path):
            yield f"{path} {value_text(other.config.get(path))}"
