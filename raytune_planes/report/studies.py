"""The studies of a results folder, one line each: when, in which state, and what the best trial gained."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raytune_planes.errors import UserError
from raytune_planes.paths import shortened
from raytune_planes.records import TrialRecord
from raytune_planes.report.formatting import signed, table
from raytune_planes.tracking.files import study_names
from raytune_planes.tracking.gains import best_of, defaults_trial
from raytune_planes.tracking.notes import Notes, day, read_notes
from raytune_planes.tracking.reading import StudyFiles, read_study

SORTS = ("time", "gain")
LONGEST = 60
"""Bytes of a question or note in the table."""


@dataclass(frozen=True)
class Overview:
    """One study."""

    name: str
    started_ms: int
    """Milliseconds since 1970; 0 where it cannot be read."""
    state: str
    """``completed``, ``interrupted``, ``failed``, or ``not ended``: it runs, or its driver was killed."""
    trials: int = 0
    best: int | None = None
    """Number of the best trial; None while no trial is complete."""
    gain: float = math.nan
    """Mean of the objectives at the best trial, turned so that larger is better, less that of the defaults."""
    keeps_floors: bool = True
    about: str = ""
    """The last note, else the question of the space."""
    tags: tuple[str, ...] = ()
    fault: str = ""
    """Why it cannot be read; empty where it can."""

    def as_json(self) -> dict[str, Any]:
        """NaN, which strict JSON has not, as null."""
        return asdict(self) | {"gain": self.gain if math.isfinite(self.gain) else None, "tags": list(self.tags)}


def overviews(out: Path, sort: str = "time", tag: str = "") -> tuple[Overview, ...]:
    """The studies in the results folder ``out``.

    Args:
        sort: ``time``: the latest first; ``gain``: those that keep every floor first, by their gain.
        tag: Only studies that have it; empty for all.

    Raises:
        UserError: no study has the tag.
    """
    found = [_overview(out / name) for name in study_names(out)]
    known = sorted({t for each in found for t in each.tags})
    if tag and tag not in known:
        raise UserError(f"no study in {out} has the tag '{tag}'; there are: {', '.join(known) or 'no tags'}")
    chosen = [each for each in found if not tag or tag in each.tags]
    by_time = sorted(chosen, key=lambda each: (-each.started_ms, each.name))
    return tuple(by_time if sort == "time" else sorted(by_time, key=_by_gain))


def as_lines(studies: tuple[Overview, ...]) -> Iterator[str]:
    """A table for a terminal."""
    rows = [
        (
            each.name,
            day(each.started_ms) if each.started_ms else "-",
            each.state,
            str(each.trials),
            "-" if each.best is None else str(each.best),
            signed(each.gain) + ("" if each.keeps_floors else " !"),
            ", ".join(each.tags),
            shortened(each.about, LONGEST),
        )
        for each in studies
    ]
    yield from table(("study", "started", "state", "trials", "best", "gain", "tags", "about"), rows, right=(3, 4))
    yield "  gain: mean of the study's objectives, best trial less defaults; only studies of one goal compare"
    if any(not each.keeps_floors for each in studies):
        yield "  !: no complete trial keeps every floor"
    yield from (f"  {each.name} cannot be read: {each.fault}" for each in studies if each.fault)


def _overview(folder: Path) -> Overview:
    try:
        study, written = read_study(folder), read_notes(folder)
    except UserError as error:
        return Overview(folder.name, 0, "damaged", fault=str(error))
    best, first = best_of(study), defaults_trial(study)
    kept = best is None or study.start.goal.feasible(_metrics(best, study))
    gain = _value(best, study) - _value(first, study)
    state = str(study.end.end) if study.end else "not ended"
    return Overview(
        folder.name,
        study.start.started_ms,
        state,
        len(study.trials),
        best.number if best else None,
        gain,
        kept,
        _about(study, written),
        written.tags,
    )


def _about(study: StudyFiles, written: Notes) -> str:
    return written.notes[-1].text if written.notes else study.start.about


def _metrics(trial: TrialRecord, study: StudyFiles) -> dict[str, float]:
    epoch = trial.best(study.start.goal)
    return dict(epoch.metrics) if epoch else {}


def _value(trial: TrialRecord | None, study: StudyFiles) -> float:
    return study.start.goal.value(_metrics(trial, study)) if trial else math.nan


def _by_gain(each: Overview) -> tuple[bool, bool, float]:
    return not math.isfinite(each.gain), not each.keeps_floors, -each.gain if math.isfinite(each.gain) else 0.0
