"""Reads the finished studies below a folder, those that are named, or the packaged ones; what cannot be read is named
and left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raytune_planes.errors import UserError
from raytune_planes.learning import collection
from raytune_planes.learning.learn import Earlier
from raytune_planes.records import End
from raytune_planes.tracking import files, reading

NONE = "none"
"""Word for ``--learn-from`` that turns learning off."""
PACKAGED = Path(__file__).with_name("packaged.json")
"""Studies of the package's own, for a study that no earlier one resembles."""
MOST_READ = 50
"""Studies, the latest of a folder: reading more would delay the start."""


@dataclass(frozen=True)
class Found:
    """The earlier studies, and what was left out of them."""

    studies: tuple[Earlier, ...] = ()
    warnings: tuple[str, ...] = ()


def earlier_studies(out: Path, named: Sequence[str], *, but: str = "") -> Found:
    """The finished studies that a new one may learn from.

    Args:
        out: folder of the results, whose studies count where none is named.
        named: names of studies in ``out``, folders of studies, folders that hold studies, files that
            ``studies --export`` wrote, or the one word ``none``.
        but: name of the new study.

    Raises:
        UserError: one of ``named`` is neither.
    """
    if [*named] == [NONE]:
        return Found()
    files_of = [Path(name) for name in named if Path(name).is_file()]
    folders = [f for name in named if Path(name) not in files_of for f in _named(out, name)] if named else _latest(out)
    studies, warnings = [], []
    for folder in dict.fromkeys(f.resolve() for f in folders):
        if folder == (out / but).resolve():
            continue
        try:
            study = reading.read_study(folder)
        except UserError as error:
            warnings.append(f"study {folder.name} is not learnt from: {error}")
            continue
        warnings += [f"study {folder.name}: {text}" for text in study.warnings]
        if study.end is None or study.end.end is not End.COMPLETED:
            if named:
                warnings.append(f"study {folder.name} is not learnt from: it has not ended")
            continue
        start = study.start
        studies.append(Earlier(start.name, start.study_id, study.trials, start.data, study.alone, start.space))
    for path in files_of:
        found = collected(path)
        there = {study.study_id for study in studies}
        studies += [study for study in found.studies if study.study_id not in there]
        warnings += found.warnings
    return Found(tuple(studies), tuple(warnings))


def collected(path: Path) -> Found:
    """The studies of a file that ``studies --export`` wrote. Raises UserError: it is none."""
    studies, warnings = collection.read(path)
    return Found(studies, warnings)


def _named(out: Path, name: str) -> list[Path]:
    if name == NONE:
        raise UserError(f"--learn-from {NONE} stands alone; leave it out, or the studies beside it")
    for folder in (Path(name), out / name):
        if (folder / files.STUDY).is_file():
            return [folder]
    if Path(name).is_dir() and (inside := _latest(Path(name))):
        return inside
    there = ", ".join(sorted(f.name for f in _latest(out))) or "none"
    raise UserError(
        f"--learn-from {name} is neither a study in {out}, nor a folder that holds studies, nor a file; there are: "
        f"{there}; --learn-from {NONE} learns from no study"
    )


def _latest(out: Path) -> list[Path]:
    """By name, so that what is learnt does not depend on how a disk lists them."""
    found = sorted(out.glob(f"*/{files.STUDY}"), key=lambda path: -path.stat().st_mtime)
    return sorted(path.parent for path in found[:MOST_READ])
