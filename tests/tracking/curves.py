"""A data curve in a study's folder, from records made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from raytune_planes.records import End, TrialRecord
from raytune_planes.tracking import StudyFiles, files
from raytune_planes.tracking.data_curve import MARK, PICTURES, begin, chosen, share_folder
from raytune_planes.tracking.reading import epoch_to_line, trial_end_to_json
from tests.tracking.studies import ended, epoch, trial

VAL = {"val/fgvc/images": 400.0}
PICTURES_OF = {0.25: "10 of 5 classes", 0.5: "20 of 6 classes", 1.0: "1,040 of 6 classes"}


def keep(study: StudyFiles, values: Mapping[float, float | None], **config: object) -> None:
    """Write the trainings of the choice on these shares: accuracy of fgvc, None for one that failed."""
    choice = chosen(study)
    assert choice is not None
    begin(study, choice)
    for share, value in values.items():
        tags = {MARK: f"{share:g}", f"{PICTURES}fgvc": PICTURES_OF[share]}
        record = replace(trial(choice.trial.number), trial_id=f"{choice.trial.trial_id}-share{share:g}", tags=tags)
        record = replace(record, config={**record.config, **config})
        end, reached = (End.FAILED, 0.1) if value is None else (End.COMPLETED, value)
        record = ended(
            record, end, "no number" if value is None else "2 epochs", epoch(1, 0.05), epoch(2, reached, **VAL)
        )
        write(share_folder(study, choice.trial.number, 0, share), record)


def write(folder: Path, record: TrialRecord) -> None:
    folder.mkdir(parents=True)
    named = {"trial_id": record.trial_id, "number": record.number, "started_ms": record.started_ms, "drawn": {}}
    files.save_json(folder / files.TRIAL, {**named, "config": dict(record.config), "tags": dict(record.tags)})
    files.save_json(folder / files.END, trial_end_to_json(record))
    files.write_whole(folder / files.EPOCHS, "".join(map(epoch_to_line, record.epochs)))
