"""What every trial keeps of its study's start, so that a lost ``study.json`` can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from raytune_planes.tracking.base import StudyStart
from raytune_planes.tracking.files import TRIAL, TRIALS, load_json
from raytune_planes.tracking.reading import MALFORMED, DamagedFile, read_ends


@dataclass(frozen=True)
class Origin:
    """When a study was started, over which space and with which data."""

    started_ms: int
    """With the name it makes the study's id."""
    space_digest: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints by dataset."""

    @staticmethod
    def of(start: StudyStart) -> Origin:
        return Origin(start.started_ms, start.space_digest, {name: d.fingerprint for name, d in start.data.items()})


def origin_of(folder: Path) -> Origin | None:
    """When, over which space and with which data the study in ``folder`` was started; None where no file states it.

    Raises:
        UserError: a newer version of this program wrote it.
    """
    for trial in sorted((folder / TRIALS).glob(f"*/{TRIAL}")):
        with suppress(OSError, *MALFORMED):
            return Origin(**load_json(trial)["study"])
    with suppress(DamagedFile):  # the trials are believed first: they are many
        return Origin.of(read_ends(folder)[0])
    return None
