"""Where a study's files lie, and writes that are whole or absent."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from raytune_planes.errors import UserError, did_you_mean
from raytune_planes.invocation import command, shown
from raytune_planes.paths import regular
from raytune_planes.records import FORMAT

STUDY, SPACE, BEST, TRIALS, LOGS = "study.json", "space.yaml", "best.yaml", "trials", "logs"
ARGUMENTS = "asked.json"
"""In a study's folder: the command line, so that ``--resume`` needs only the study's name."""
REFERENCES = "references.json"
"""In a study's folder: by dataset, the validation metrics that it reaches alone."""
SHARED = "references"
"""Folder of the trainings of single datasets, beside the studies that share them."""
FINAL = "final"
"""In a study's folder: the trainings at the long budget, a folder each, and in ``final.json`` which they are."""
CURVE = "data-curve"
"""In a study's folder: its choice trained on shares of the training pictures, a folder each."""
TRIAL, EPOCHS, CONFIG, END = "trial.json", "epochs.jsonl", "config.yaml", "end.json"
LAST, WEIGHTS = "last.pt", "best.pt"
FOLDS = "folds.json"
"""In the folder of a training on every fold: mean and spread over them."""
FREED = "freed.json"
"""In the folder of a trial whose ``best.pt`` was removed: why, and how large it was."""
PLOTS = "plots"
"""Folder of the reports, beside the studies."""
RESERVED = (LOGS, PLOTS, "mlartifacts", SHARED)
"""Folders beside the studies that hold something else."""


def study_folder(out: Path, name: str, kind: str = "study") -> Path:
    """``<out>/<name>``, of a study or another ``kind``. Raises UserError when ``name`` is no plain folder name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) or name in RESERVED:
        raise UserError(
            f"'{name}' cannot name a {kind}; use up to 100 letters, digits, '-', '_' and '.', "
            f"not one of {', '.join(map(repr, RESERVED))}"
        )
    return out / name


def trial_folder(study: Path, number: int, trial_id: str) -> Path:
    """``<study>/trials/0003-<trial_id>``."""
    return study / TRIALS / f"{number:04d}-{trial_id}"


def find_study(out: Path, name: str | None = None) -> Path:
    """The folder of the study ``name``, or of the latest one. Raises UserError listing the studies there are."""
    starts = {study: _started_ms(out / study) for study in study_names(out)}
    if not starts:
        raise UserError(
            f"no study in {shown(out)}; run '{command('tune')}' first, or name its folder "
            "or s3://BUCKET/PREFIX with --out"
        )
    if name is None:
        return out / max(starts, key=lambda n: (starts[n], n))
    if name not in starts:
        there = ", ".join(sorted(starts, key=lambda n: -starts[n]))
        raise UserError(f"no study '{name}' in {shown(out)}{did_you_mean(name, starts)}; there are: {there}")
    return out / name


def study_names(out: Path) -> list[str]:
    """The studies in the results folder ``out``, by name."""
    return sorted(p.parent.name for p in out.glob(f"*/{STUDY}"))


def load_json(path: Path) -> dict[str, Any]:
    """A record file as written by ``save_json``. Raises UserError when it is of a newer format."""
    data = json.loads(regular(path).read_bytes())
    if not isinstance(data, dict):
        raise ValueError(f"{path.name} holds no object")
    if data.get("format") != FORMAT:
        raise UserError(
            f"{path} has format {data.get('format')!r}, this version reads {FORMAT}; "
            f"use the version of raytune-planes that wrote it, or a newer one"
        )
    return data


def save_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write ``data`` with the format's version, whole or not at all."""
    write_whole(path, json.dumps({"format": FORMAT, **data}, indent=1, allow_nan=False) + "\n")


def append_whole(path: Path, line: bytes) -> None:
    """Add ``line`` to the end of a file, whole or not at all: a full disk takes part of a line without a word."""
    with naming(path), path.open("ab", buffering=0) as file:
        start = file.seek(0, os.SEEK_END)
        try:
            if file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            file.truncate(start)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError of the block names ``path``: a write that finds no room names no file by itself."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace ``path`` by ``content`` so that a reader, or a crash, sees the old file or the new one."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of ``path`` when the block ends well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with naming(path):
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else a power cut can forget the new name
    finally:
        os.close(folder)


def _started_ms(folder: Path) -> int:
    try:
        return int(json.loads(regular(folder / STUDY).read_bytes())["start"]["started_ms"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0  # unreadable: still listed, never the latest
