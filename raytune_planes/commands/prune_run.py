"""What of a study can be removed, and its removal: in the study's folder, then in MLflow's store."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from raytune_planes.errors import UserError
from raytune_planes.invocation import command, in_folder
from raytune_planes.paths import sqlite_file
from raytune_planes.printing import counted, size_text
from raytune_planes.records import TrialRecord
from raytune_planes.report.explain import saved_arguments
from raytune_planes.space import StudySettings
from raytune_planes.space.file import read
from raytune_planes.tracking import files, reading
from raytune_planes.tracking.final import long_runs
from raytune_planes.tracking.keeping import folder_of, free, is_freed, named_elsewhere, needed
from raytune_planes.tracking.mlflow import sync
from raytune_planes.tracking.mlflow_place import MlflowPlace
from raytune_planes.tracking.reading import StudyFiles
from raytune_planes.tracking.reference_files import references_of
from raytune_planes.training.ended import drop_state, holds_tensors
from raytune_planes.tuning.confirm import RESULT
from raytune_planes.tuning.lease import Lease

WEIGHTS, STATE, LEFT = "weights", "optimiser state", "unfinished file"


@dataclass(frozen=True)
class Spare:
    """A file that is not needed."""

    path: Path
    what: str
    bytes: int
    trial: TrialRecord | None = None

    def remove(self, keep: int) -> None:
        if self.trial is not None and self.what == WEIGHTS:
            free(self.path.parent, keep)
        elif self.trial is not None and self.what == STATE:
            drop_state(self.path.parent, self.trial.end, self.trial.reason, self.trial.epochs, self.trial.drawn)
        else:
            self.path.unlink(missing_ok=True)


class Files(Protocol):
    """What is known of a study's files before any is removed."""

    def size(self, path: Path) -> int | None:
        """In bytes; None where there is no such file."""
        ...

    def holds_tensors(self, path: Path) -> bool: ...


class OnDisk:
    def size(self, path: Path) -> int | None:
        return path.stat().st_size if path.is_file() else None

    def holds_tensors(self, path: Path) -> bool:
        return holds_tensors(path)


def run(args: argparse.Namespace) -> int:
    """Returns 0. Raises UserError: there is no such study, or it runs."""
    folder = files.find_study(args.out, args.study)
    there: Files = getattr(args, "listed", None) or OnDisk()
    if args.dry_run:
        study = reading.read_study(folder)
        keep = args.keep or kept_by(study)
        spare = tuple(spares(study, keep, there))
    else:
        with Lease(folder):
            study = reading.read_study(folder)
            keep = args.keep or kept_by(study)
            spare = tuple(spares(study, keep, there))
            for each in spare:
                each.remove(keep)
    told = _as_json(study, keep, spare, there, args.dry_run)
    print(json.dumps(told, indent=1) if args.json else in_words(told))
    if not args.dry_run and (problem := _in_store(args, folder, study)):
        raise UserError(problem)
    return 0


def kept_by(study: StudyFiles) -> int:
    """How many of the best trials the study itself keeps: by its command line, else by its space."""
    if typed := saved_arguments(study).get("keep"):
        return int(typed)
    space = study.folder / files.SPACE
    if not space.is_file():
        return StudySettings().keep
    return read(space.read_text(encoding="utf-8"), study.start.space)[0].study.keep


def spares(study: StudyFiles, keep: int, there: Files) -> Iterator[Spare]:
    """All files of the study that neither a person, nor a trial, nor a later run of it needs."""
    why, named = needed(study.trials, study.start.goal, keep), named_elsewhere(study.folder)
    for trial in study.trials:
        folder = folder_of(study.folder, trial)
        if trial.end.is_open:
            continue
        if trial.trial_id not in why and folder.name not in named:
            yield from _found(there, folder / files.WEIGHTS, WEIGHTS, trial)
        if there.size(folder / files.LAST) is not None and there.holds_tensors(folder / files.LAST):
            yield from _found(there, folder / files.LAST, STATE, trial)
        yield from _unfinished(folder)
    ended = [long.folder for long in long_runs(study) if long.trial.end.is_complete]
    ended += [place for place, record in references_of(study.folder) if isinstance(record, TrialRecord)]
    for folder in ended:
        yield from _found(there, folder / files.LAST, STATE)
        yield from _unfinished(folder)
    for result in study.folder.glob(f"confirm/*/{RESULT}"):
        yield from _found(there, result.parent / files.WEIGHTS, WEIGHTS)
        yield from _found(there, result.parent / files.LAST, STATE)
        yield from _unfinished(result.parent)


def in_words(told: dict[str, Any]) -> str:
    """What was removed and what is kept, for people."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for each in told["removed"]:
        by_kind.setdefault(each["what"], []).append(each)
    would = "would be removed" if told["dry_run"] else "removed"
    lines = [f"{size_text(told['bytes'])} {would} from study {told['study']}, which keeps {told['keep']} of the best"]
    for kind, removed in by_kind.items():
        numbers = [str(each["trial"]) for each in removed if each["trial"] is not None]
        of = f" of trials {', '.join(numbers)}" if numbers else ""
        size = size_text(sum(each["bytes"] for each in removed))
        lines.append(f"  {kind}: {counted(len(removed), 'file')}, {size}{of}")
    lines += ["kept weights:"] if told["kept"] else []
    lines += [f"  trial {each['trial']}, {size_text(each['bytes'])}: {each['why']}" for each in told["kept"]]
    return "\n".join(lines)


def _as_json(study: StudyFiles, keep: int, spare: tuple[Spare, ...], there: Files, dry_run: bool) -> dict[str, Any]:
    removed = [
        {"path": str(s.path), "what": s.what, "bytes": s.bytes, "trial": s.trial.number if s.trial else None}
        for s in spare
    ]
    why, gone = needed(study.trials, study.start.goal, keep), {s.path for s in spare}
    kept = [
        {"trial": t.number, "bytes": size, "why": why.get(t.trial_id, "another study names it")}
        for t in study.trials
        if (size := there.size(path := folder_of(study.folder, t) / files.WEIGHTS)) is not None and path not in gone
    ]
    total = sum(s.bytes for s in spare)
    return {
        **{"study": study.start.name, "keep": keep, "dry_run": dry_run, "bytes": total},
        **{"removed": removed, "kept": kept},
    }


def _found(there: Files, path: Path, what: str, trial: TrialRecord | None = None) -> Iterator[Spare]:
    if (size := there.size(path)) is not None:
        yield Spare(path, what, size, trial)


def _unfinished(folder: Path) -> Iterator[Spare]:
    """What a process left that was killed while it wrote a checkpoint."""
    for name in (files.LAST, files.WEIGHTS):
        for path in folder.glob(f".{name}.*"):  # kept in no store
            yield from _found(OnDisk(), path, LEFT)


def _in_store(args: argparse.Namespace, folder: Path, study: StudyFiles) -> str:
    """Remove the copies in MLflow's store, which are links to the same files on this disk; returns what went wrong."""
    database = sqlite_file(MlflowPlace.of(folder.parent, args.tracking_uri, args.experiment).uri)
    freed = any(is_freed(folder_of(folder, trial)) for trial in study.trials)
    if not freed or (database is not None and not database.is_file()):
        return ""
    try:
        sync(folder, args.tracking_uri, experiment=args.experiment)
    except UserError as error:
        again = command(f"sync {folder.name}{in_folder(folder.parent)}")
        return f"MLflow keeps its copies of what was removed until '{again}': {error}"
    return ""
