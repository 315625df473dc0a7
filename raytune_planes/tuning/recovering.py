"""How a trial goes on whose process ended before it: in its folder, in its tags, and in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from raytune_planes.records import TrialRecord
from raytune_planes.tuning.leaving import left, moved
from raytune_planes.tuning.stop_requests import halve_batches, halved

LOW = "running low on memory"
"""What Ray says of a process that it ended before the system would have."""
FAILURE = "Failure # "
"""Begins each error in the file of a trial's errors."""
HALVED = "micro_batches"
"""Tag of a trial: into how many parts its batches are cut."""


def error_of(trial: Any) -> str:
    """The error that ended the process of one of Tune's trials last, as text; empty where Tune has none.

    Tune itself looks where it copies its files to, now and then: there the last error may be missing.
    """
    path = getattr(trial, "error_file", None)
    if path and Path(path).is_file():
        return Path(path).read_text(encoding="utf-8", errors="replace").rpartition(FAILURE)[2]
    return str(trial.get_error() or "")


def recovered(record: TrialRecord, folder: Path, error: str) -> tuple[TrialRecord, str]:
    """The record of a trial that Tune starts again, with its new tags, and a line for people.

    Args:
        folder: The trial's.
        error: What ended its process, see ``error_of``.
    """
    after = f"epoch {record.epochs[-1].epoch}" if record.epochs else "its start"
    if LOW in error:
        halve_batches(folder, "Ray ended it because its machine ran low on memory")
    how = "lost a process and continues"
    if host := left(error):
        how, record = f"leaves {host}, which is about to end, and continues on another host", moved(record, host)
    if halved(folder) and HALVED not in record.tags:
        how = "did not fit into memory; it continues with each batch in two halves,"
        record = replace(record, tags={**record.tags, HALVED: "2"})
    return record, f"trial {record.number} {how} from {after}"
