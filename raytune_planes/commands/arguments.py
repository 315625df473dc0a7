"""Arguments that several verbs share, and the checks of single values."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("results"), metavar="DIR", help="folder of the results (default: results)"
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder with planesnet/, hrplanes/ and fgvc-aircraft-2013b/; without it, SYNTHETIC data is drawn",
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder of the decoded pictures (default: per user)")


def add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="a setting by its dotted path, e.g. budget.epochs=5; can be repeated",
    )


def at_least(least: float, kind: Callable[[str], float] = int) -> Callable[[str], float]:
    """An argparse type: a number no smaller than ``least``."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is no {'whole ' if kind is int else ''}number") from None
        if not value >= least:
            raise argparse.ArgumentTypeError(f"{text} is too small; give {least:g} or more")
        return value

    return read
