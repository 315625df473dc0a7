"""The command line of a study: kept in its folder, and joined with the one that resumes it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from raytune_planes.addresses import is_postgres, without_login
from raytune_planes.commands.arguments import SEARCH_DB, TUNE_DEFAULTS
from raytune_planes.errors import UserError
from raytune_planes.paths import regular
from raytune_planes.settings import path_made_absolute
from raytune_planes.stores.address import where
from raytune_planes.tracking import files
from raytune_planes.tracking.base import DataDescription
from raytune_planes.tracking.mlflow_place import absolute
from raytune_planes.tracking.origin import origin_of

LIMITS = ("trials", "hours", "samples", "patience", "stall_minutes", "free_gib")
TAKEN = (
    *(*LIMITS, "keep"),
    *("workers", "cpus_per_worker", "gpus_per_worker", "concurrent"),
    *("data", "cache", "cache_limit", "tracking_uri", "experiment", "search_db", "final", "confirm", "seeds"),
)
"""What a resumed study takes from the new command line when it is typed there. ``data``: the same pictures, moved."""
KEPT = (
    *("space", "set", "only", "config", "start_from", "learn_from", "name", "seed", "sampler"),
    *("no_rungs", "no_references"),
)
"""What a study keeps from its first command line: these decide what its trials are and which come next."""
APART = ("about", "tag", "dry_run", "quiet", "json_lines")
"""Of one command line alone: notes are in a file of their own, a dry run keeps nothing, output is for its reader."""
PATHS = ("data", "cache", "config", "out")
MLFLOW_LOGIN = "give it again, or set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
POSTGRES_LOGIN = "give it again, set PGUSER and PGPASSWORD, or keep it in ~/.pgpass"
ALL = 100_000
"""Weights that a study keeps whose command line is of a version that removed none."""


def recall(args: argparse.Namespace) -> argparse.Namespace:
    """The command line that started the study ``args.resume``, with what is typed anew in ``args`` in its place.

    Raises:
        UserError: there is no such study, it was not started from the command line, or ``args`` changes what it keeps.
    """
    path = files.study_folder(args.out, args.resume) / files.ARGUMENTS
    try:
        stored: dict[str, Any] = json.loads(regular(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"no study '{args.resume}' to resume in {args.out}: {path} is missing or damaged") from None
    given = [f"--{key.replace('_', '-')}" for key in KEPT[1:] if _anew(args, stored, key)]
    given += [args.space] if _anew(args, stored, "space") else []
    if given:
        raise UserError(
            f"a resumed study keeps its space, seed, sampler and settings; leave out {', '.join(given)}, "
            "or start another study with --name and --start-from"
        )
    known = {**TUNE_DEFAULTS, "learn_from": [], "keep": ALL, **stored}
    known |= {key: where(known[key]) for key in PATHS if known.get(key) is not None}
    known["start_from"] = [Path(p) for p in stored["start_from"]]
    if args.data is None and isinstance(known["data"], Path) and not known["data"].is_dir():
        raise UserError(
            f"the pictures of study '{args.resume}' were in {known['data']}, which no longer exists; "
            "name their new folder with --data"
        )
    known["search_db"], known["search_named"] = search_place(args.search_db, known.get("search_db") or "")
    typed = {key: value for key in TAKEN if (value := getattr(args, key)) is not None}
    return argparse.Namespace(**{**vars(args), **known, **typed, "resume": args.resume, "out": args.out})


def mlflow_kept(folder: Path) -> tuple[str, str]:
    """MLflow's store and experiment that the study in ``folder`` was started with; empty where its command line named
    none, or is not kept."""
    with suppress(OSError, ValueError):
        stored = json.loads(regular(folder / files.ARGUMENTS).read_text(encoding="utf-8"))
        if isinstance(stored, dict):
            return str(stored.get("tracking_uri") or ""), str(stored.get("experiment") or "")
    return "", ""


def search_place(typed: str | None, stored: str = "") -> tuple[str, str]:
    """The address of the search's database, empty for a file in the study's folder, and what named it, for messages.

    Args:
        typed: With ``--search-db``; empty for the file, None where nothing was typed.
        stored: What an earlier command line of the study said.
    """
    if typed is not None:
        return typed, "--search-db"
    if named := os.environ.get(SEARCH_DB):
        return named, SEARCH_DB
    return stored, "an earlier command line of this study"


def remember(args: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> None:
    """Keep the command line in the study's ``folder``. Raises UserError when that cannot be written."""
    own = {k: v for k, v in vars(args).items() if k not in ("run", "resume", "verb", "search_named", *APART)}
    for key in ("data", "cache", "config"):
        own[key] = own[key] and str(own[key].resolve() if isinstance(own[key], Path) else own[key])
    for key, instead in (("tracking_uri", MLFLOW_LOGIN), ("search_db", POSTGRES_LOGIN)):
        if (typed := own[key]) and (address := without_login(typed)) != typed:
            own[key] = address
            instead = POSTGRES_LOGIN if is_postgres(typed) else instead
            by = getattr(args, "search_named", "--search-db") if key == "search_db" else "--tracking-uri"
            for_what = "--resume" if key == "search_db" else "--resume and sync"
            say(f"The login in {by} is kept nowhere: for {for_what} {instead}")
    own["tracking_uri"] = own["tracking_uri"] and absolute(own["tracking_uri"])
    own["set"] = [path_made_absolute(assignment) for assignment in args.set]
    own["start_from"] = [str(p.resolve()) for p in own["start_from"]]
    space = Path(args.space)
    own["space"] = str(space.resolve()) if space.is_file() else args.space
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.write_whole(folder / files.ARGUMENTS, json.dumps(own, indent=1, default=str) + "\n")
    except OSError as error:
        raise UserError(f"results cannot be written to {folder}: {error}; choose another folder with --out") from None


def _anew(args: argparse.Namespace, stored: dict[str, Any], key: str) -> bool:
    """Whether ``args`` types something else than was stored."""
    value = getattr(args, key)
    return value is not None and value is not False and value != [] and value != stored.get(key, TUNE_DEFAULTS.get(key))


def same_data(folder: Path, data: Mapping[str, DataDescription]) -> None:
    """Refuse to continue the study in ``folder`` on other pictures: its trials could not be compared.

    Raises:
        UserError: names the datasets whose files are not those that the study began with.
    """
    origin = origin_of(folder)  # None where its driver died before the first record
    known = origin.data if origin else {}
    other = [
        name
        for name, fingerprinted in data.items()
        if known.get(name, fingerprinted.fingerprint) != fingerprinted.fingerprint
    ]
    if other:
        raise UserError(
            f"study '{folder.name}' began with other pictures of {', '.join(other)} (names, sizes or times of change "
            "differ, or another version reads them otherwise); give the folder that holds the same files with --data "
            "(cp -a and rsync -a keep the times), or start another study with --name and --start-from"
        )
