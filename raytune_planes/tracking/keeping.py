"""Which trials of a study keep their weights, and what is left of a trial whose weights were removed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from raytune_planes.errors import UserError
from raytune_planes.invocation import command, quoted
from raytune_planes.pareto import front
from raytune_planes.paths import there
from raytune_planes.records import End, Goal, TrialRecord, rank
from raytune_planes.tracking.files import (
    ARGUMENTS,
    CONFIG,
    FREED,
    SPACE,
    WEIGHTS,
    load_json,
    save_json,
    study_names,
    trial_folder,
)

MALFORMED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def needed(trials: Iterable[TrialRecord], goal: Goal, keep: int) -> dict[str, str]:
    """By the id of each trial whose weights are kept: why.

    Complete trials go before pruned ones, then ``records.rank`` counts; failed ones are not needed. What is not needed
    is not needed later either, whatever other trials reach: so it is enough to look at the trials that have weights.

    Args:
        trials: Of one study; those whose weights are gone may be left out.
        goal: The study's. Floors that follow a reference are known once a trial after the defaults has started.
        keep: How many of the best.
    """
    known = list(trials)
    why = {t.trial_id: "can be resumed" for t in known if t.end.is_open}
    ended = [t for t in known if not t.end.is_open and t.end is not End.FAILED and t.best(goal) is not None]
    why |= {t.trial_id: "the defaults" for t in ended if t.number == 0}
    if len(goal.objectives) > 1:
        why |= {t.trial_id: "on the Pareto front" for t in front(ended, goal)}
    best = sorted(ended, key=lambda t: (t.end.is_complete, rank(t, goal)), reverse=True)[:keep]
    return why | {t.trial_id: f"number {i} of the best" for i, t in enumerate(best, 1)}


def named_elsewhere(study: Path) -> str:
    """What the other studies beside ``study`` were asked for: a trial's folder that it names is still needed there."""
    others = [study.parent / name for name in study_names(study.parent) if name != study.name]
    paths = [other / name for other in others for name in (ARGUMENTS, SPACE)]
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in paths if path.is_file())


def free(folder: Path, keep: int) -> int:
    """Remove the weights of the trial in ``folder``; returns their size in bytes.

    The note comes first: after a crash between the two steps the trial still has its weights, and this is done again.
    """
    weights = folder / WEIGHTS
    size = weights.stat().st_size
    save_json(folder / FREED, {"keep": keep, "bytes": size, "time_ms": int(time.time() * 1000)})
    weights.unlink()
    return size


def is_freed(folder: Path) -> bool:
    """Whether the weights of the trial in ``folder`` were removed on purpose."""
    return there(folder / FREED) and not (folder / WEIGHTS).is_file()


def refuse_freed(folder: Path) -> None:
    """Raises UserError where the weights of the trial in ``folder`` were removed: why, and how to get them again."""
    if not is_freed(folder):
        return
    try:
        noted: Mapping[str, Any] = load_json(folder / FREED)
        best = f"the {int(noted['keep'])} best"
    except MALFORMED:
        best = "the best"
    again = command(f"train --config {quoted(folder / CONFIG)} --out FOLDER")
    raise UserError(
        f"the weights of {folder.name} were removed when it was no longer among {best} trials of its study "
        f"(study.keep); its records stay. Train it again with '{again}'; a study keeps more with --keep"
    )


def folder_of(study: Path, trial: TrialRecord) -> Path:
    """Where the files of ``trial`` lie."""
    return trial_folder(study, trial.number, trial.trial_id)
