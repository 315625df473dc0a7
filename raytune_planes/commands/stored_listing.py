"""The files of a study as an object store lists them, for a command that needs no more than their sizes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_planes.stores.access import Item, asking

if TYPE_CHECKING:
    from raytune_planes.stores.mirror import Mirror


class Listed:
    """What ``prune_run.OnDisk`` tells of a disk."""

    def __init__(self, mirror: Mirror, items: Iterable[Item]) -> None:
        self._mirror, self._sizes = mirror, {mirror.folder / item.name: item.size for item in items}

    def size(self, path: Path) -> int | None:
        return self._sizes.get(path)

    def holds_tensors(self, path: Path) -> bool:
        """Of a checkpoint its list of contents is read, some kilobytes at its end."""
        from raytune_planes.training.ended import holds_tensors

        mirror = self._mirror
        name = path.relative_to(mirror.folder).as_posix()
        with asking(mirror.address), mirror.store.open_input_file(f"{mirror.address.path}/{name}") as file:
            return holds_tensors(file)
