"""Arguments that several verbs share, and the checks of single values."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from raytune_planes.errors import UserError
from raytune_planes.invocation import RESULTS
from raytune_planes.paths import local
from raytune_planes.stores.address import Place, where

TUNE_DEFAULTS = {
    **{"space": "quick", "seed": 0, "workers": 1, "cpus_per_worker": 1, "gpus_per_worker": "auto"},
    **{"seeds": 3, "cache_limit": 20.0},
}
"""What a new study takes where nothing is typed. The parser of ``tune`` leaves those at None: a resume must know what
was typed."""


SEARCH_DB = "RAYTUNE_PLANES_SEARCH_DB"
"""Variable of the environment: what ``--search-db`` says where nothing is typed. Others on a host read arguments."""


def add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=place_or_address,
        default=RESULTS,
        metavar="DIR",
        help="folder of the results (default: results), or s3://BUCKET/PREFIX, gs://…, az://…",
    )


def add_mlflow(
    parser: argparse._ActionsContainer, *, default: str = "sqlite:///OUT/mlflow.db", experiment: bool = True
) -> None:
    """Where MLflow is; ``default``: what is taken where neither the option nor the environment says it."""
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help=f"MLflow store (default: MLFLOW_TRACKING_URI, else {default})",
    )
    if experiment:
        parser.add_argument(
            "--experiment",
            metavar="NAME",
            help="its experiment (default: MLFLOW_EXPERIMENT_NAME, else raytune-planes)",
        )


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=place_or_address,
        metavar="DIR",
        help="folder with planesnet/, hrplanes/ and fgvc-aircraft-2013b/, or s3://BUCKET/PREFIX, gs://…, az://…; "
        "without it, SYNTHETIC data is drawn",
    )
    parser.add_argument("--cache", type=place, metavar="DIR", help="folder of the decoded pictures (default: per user)")
    parser.add_argument(
        "--cache-limit",
        type=at_least(0, float),
        default=20.0,
        metavar="GIB",
        help="above this size of that folder, what was unused longest is removed from it, and pictures that do not fit "
        "are kept compressed without loss (default: 20)",
    )


def add_moved(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=place_or_address, metavar="DIR", help="the study's pictures, where they have moved"
    )
    parser.add_argument("--cache", type=place, metavar="DIR", help="of the decoded pictures, where it has moved")


def add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="a setting by its dotted path, e.g. budget.epochs=5; can be repeated",
    )
    parser.add_argument("--only", metavar="NAMES", help="the datasets that take part, e.g. mine or planesnet,fgvc")


def assigned(args: argparse.Namespace, *below: Mapping[str, Any]) -> dict[str, Any]:
    """What ``--set`` and ``--only`` say, over the settings ``below``. Raises UserError."""
    from raytune_planes.settings import only, parse_assignments

    given = parse_assignments(args.set)
    names = [name.strip() for name in (args.only or "").split(",") if name.strip()]
    return {**(only(names, *below, given) if names else {}), **given}


def place(text: str) -> Path:
    """An argparse type: a path of this machine."""
    try:
        return local(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def place_or_address(text: str) -> Place:
    """An argparse type: a path of this machine, or the address of an object store."""
    try:
        return where(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def at_least(least: float, kind: Callable[[str], float] = int) -> Callable[[str], float]:
    """An argparse type: a number no smaller than ``least``."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if math.isnan(value):
            raise argparse.ArgumentTypeError(f"'{text}' is no {'whole ' if kind is int else ''}number")
        if value < least:
            raise argparse.ArgumentTypeError(f"{text} is too small; give {least:g} or more")
        return value

    return read


def gpus(text: str) -> str:
    """An argparse type: ``auto``, ``auto:0.5`` or a number, kept as typed; ``share_of_gpus`` reads it."""
    share_of_gpus(text)
    return text


def share_of_gpus(text: str | float) -> tuple[float, bool]:
    """The share of each worker, and whether hosts without a GPU train as well: ``auto:0.5`` -> ``(0.5, True)``."""
    word, _, number = str(text).partition(":")
    if word != "auto":
        return _part_or_whole(str(text)), False
    share = _part_or_whole(number or "1")
    if not share:
        raise argparse.ArgumentTypeError("auto:0 asks for no GPU; give 0 for CPUs alone")
    return share, True


def _part_or_whole(text: str) -> float:
    """A worker has a part of one GPU, or whole ones: trials share a GPU, and none is shared beside whole ones."""
    share = at_least(0, float)(text)
    if share > 1 and not float(share).is_integer():
        raise argparse.ArgumentTypeError(f"{text}: give a part of one GPU, such as 0.5, or a whole number of GPUs")
    return share
