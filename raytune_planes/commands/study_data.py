"""The pictures of a study, opened again after it, and checked to be those that it saw."""

from __future__ import annotations

from pathlib import Path

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.folds import parted
from raytune_planes.errors import UserError
from raytune_planes.preparation.data import data_folder, open_data
from raytune_planes.report.explain import places
from raytune_planes.stores.address import Place
from raytune_planes.tracking.reading import StudyFiles


def study_arrays(study: StudyFiles, config: TrialConfig, data: Place | None, cache: Path | None) -> dict[str, Arrays]:
    """The decoded arrays of every dataset of ``config``, a trial's.

    Args:
        data: the study's pictures where they have moved; None for where they were. Like ``cache``.

    Raises:
        UserError: the data is not there, or is not what the study saw.
    """
    where, cached = places(study, data, cache)
    without_root = [n for n, d in study.start.data.items() if not d.synthetic and not config.datasets[n].root]
    if where is None and without_root:
        raise UserError(f"the folder of {', '.join(without_root)} is not known; name it with --data")
    arrays = open_data(config, data_folder(where, cached), cached)
    for name, described in study.start.data.items():
        if name in arrays and dict(described.counts) != parted(arrays[name], config.split).counts():
            raise UserError(f"the pictures of {name} differ from the study's; name the right folder with --data")
    return arrays
