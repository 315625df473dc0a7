"""Requests of the driver to a trial, through files in the trial's folder: another machine reads them as well."""

from __future__ import annotations

import json
from pathlib import Path

from raytune_planes.records import End
from raytune_planes.tracking.files import write_whole
from raytune_planes.training.loop import StopTrial

STOP, SMALL = "stop.json", "small.txt"


def stop_trial(folder: Path, end: End, reason: str) -> None:
    """Ask the trial of ``folder`` to end after its current epoch."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / STOP, json.dumps({"end": end.value, "reason": reason}))


def stop_requested(folder: Path) -> StopTrial | None:
    """What ``stop_trial`` asked of the trial of ``folder``."""
    try:
        content = json.loads((folder / STOP).read_bytes())
    except FileNotFoundError:
        return None
    return StopTrial(End(content["end"]), content["reason"])


def halve_batches(folder: Path, reason: str) -> bool:
    """Let the trial of ``folder`` send its batches through the model in two halves; False when it does so already."""
    if halved(folder):
        return False
    write_whole(folder / SMALL, reason + "\n")
    return True


def halved(folder: Path) -> bool:
    return (folder / SMALL).is_file()


def forget(folder: Path) -> None:
    """Take back the wish for an end of an earlier run of the study."""
    (folder / STOP).unlink(missing_ok=True)
