"""Find the picture that a label file or a list means, by names that were written on another machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from raytune_planes.datasets import files, split_folders
from raytune_planes.errors import UserError
from raytune_planes.printing import printable


class Names:
    """The pictures of a dataset by file name, by file name in any case, and by the name without its suffix."""

    def __init__(self, pictures: Iterable[Path]) -> None:
        self._exact, self._folded, self._stems = (defaultdict[str, list[Path]](list) for _ in range(3))
        for picture in pictures:
            self._exact[picture.name].append(picture)
            self._folded[picture.name.lower()].append(picture)
            self._stems[picture.stem.lower()].append(picture)

    def match(self, entry: str, place: str, near: Path | None = None, split: str = "") -> Path | None:
        """The picture that ``entry`` names, None where it is not there.

        Folders of the entry are those of its author's machine: they count only where the file's name fits several
        pictures. So do ``near`` and ``split``.

        Args:
            entry: a file name, perhaps with folders; a name without its suffix will do.
            place: of the entry, for messages.
            near: the folder of the file that holds the entry.
            split: that the picture belongs to, of ``SPLITS``.

        Raises:
            UserError: several pictures fit equally well.
        """
        parts = PurePosixPath(entry.replace("\\", "/")).parts or (entry,)  # "." has none
        name = parts[-1]
        fits = self._exact.get(name) or self._folded.get(name.lower()) or self._stems.get(name.lower()) or []
        if len(fits) < 2:
            return fits[0] if fits else None
        agreement = {path: _agreement(path, parts, near, split) for path in fits}
        ranked = sorted(fits, key=agreement.__getitem__, reverse=True)
        if agreement[ranked[0]] == agreement[ranked[1]]:
            raise UserError(
                f"{place}: '{printable(entry)}' fits several pictures: {files.some(ranked)}; keep one of them"
            )
        return ranked[0]


def _agreement(path: Path, parts: Sequence[str], near: Path | None, split: str) -> tuple[int, ...]:
    """Whether the entry leads there from ``near``; then how many folders of the path are those of the entry, from the
    end, and those of ``near``, from the start; and whether one of them tells the split."""
    leads = near is not None and path.parent == near.joinpath(*parts[:-1])
    of_split = split in {split_folders.split_of(part) for part in path.parts[:-1]}
    return leads, _alike(path.parts[-2::-1], parts[-2::-1]), _alike(path.parts, near.parts) if near else 0, of_split


def _alike(some: Sequence[str], others: Sequence[str]) -> int:
    pairs = zip(some, others, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(some), len(others)))
