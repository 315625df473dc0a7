"""What is left of the ``last.pt`` of a training that has ended: its epochs, without the state that none continues."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from raytune_planes.errors import UserError
from raytune_planes.records import End, EpochRecord
from raytune_planes.tracking.files import LAST
from raytune_planes.tracking.reading import epoch_to_line
from raytune_planes.training import checkpoint

ENDED = "ended"
"""Key under which such a file has the end."""


def drop_state(folder: Path, end: End, reason: str, epochs: Iterable[EpochRecord], config: Mapping[str, Any]) -> int:
    """Replace ``last.pt`` by one without model and optimiser, in one step; returns by how many bytes it is smaller.

    It keeps the epochs, from which ``epochs.jsonl`` is restored where that is lost, and ``config``, settings by which
    it is recognised in the folder of another training: of a trial those that were drawn, as all of them would take more
    than the epochs. Call when the end is on record.
    """
    path = folder / LAST
    if not path.is_file() or not holds_tensors(path):
        return 0
    size = path.stat().st_size
    told = [epoch_to_line(epoch) for epoch in epochs]
    checkpoint.save({ENDED: str(end), "reason": reason, "told": told, "config": dict(config)}, path)
    return size - path.stat().st_size


def holds_tensors(path: Path | IO[bytes]) -> bool:
    """Whether a checkpoint holds any; told from the names in the archive, so that a large one is not read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/data/" in name for name in archive.namelist())
    except zipfile.BadZipFile:
        return True


def load_state(path: Path) -> dict[str, Any]:
    """What a training continues from.

    Raises:
        UserError: as ``checkpoint.load``, and where the training has ended.
    """
    state = checkpoint.load(path)
    refuse_ended(state, path)
    return state


def refuse_ended(state: Mapping[str, Any], path: Path) -> None:
    """Raises UserError where ``state`` is what ``drop_state`` left."""
    if ENDED in state:
        raise UserError(
            f"{path} holds no state any more, as its training has ended ({state[ENDED]}); its best epoch is in best.pt"
        )
