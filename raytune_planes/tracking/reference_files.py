"""The records of a dataset that was trained alone: those of a trial, beside its result and weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from raytune_planes.errors import UserError
from raytune_planes.records import TrialRecord
from raytune_planes.tracking import files, reading
from raytune_planes.tracking.jsonl import trial_to_json

DATASET = "dataset"
"""Tag of a reference: which dataset was trained alone."""


def write_reference(record: TrialRecord, dataset: str, folder: Path) -> None:
    """Write the ``record`` of a training of ``dataset`` alone that has ended."""
    record = replace(record, drawn={}, tags={**record.tags, DATASET: dataset})
    files.write_whole(folder / files.EPOCHS, "".join(map(reading.epoch_to_line, record.epochs)))
    files.save_json(folder / files.TRIAL, trial_to_json(record))
    files.save_json(folder / files.END, reading.trial_end_to_json(record))


def references_of(study: Path) -> Iterator[tuple[Path, TrialRecord | str]]:
    """The trainings of single datasets that the study in the folder ``study`` compares with, each with its folder; in
    place of the record why it cannot be read, for example because somebody deleted it: its metrics are in the study.
    """
    for name in reading.kept_references(study / files.REFERENCES).values():
        folder = study.parent / files.SHARED / name
        try:
            yield folder, reading.read_trial(folder)[0]
        except (OSError, UserError, *reading.MALFORMED) as error:
            yield folder, f"{type(error).__name__}: {error}"
