"""Show two trials, or the best of two studies, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_planes.commands.arguments import add_out, place
from raytune_planes.errors import UserError

if TYPE_CHECKING:
    from raytune_planes.report.compare import Side

EXAMPLES = ("compare STUDY OTHER", "compare STUDY:0 STUDY:3")


def arguments(parser: argparse.ArgumentParser) -> None:
    for name in ("one", "other"):
        parser.add_argument(name, metavar="STUDY[:TRIAL]", help="a study, for its best trial, or one trial by number")
    add_out(parser)
    parser.add_argument(
        "--to", type=place, metavar="DIR", help="folder of the page with curves (default: OUT/plots/ONE-OTHER)"
    )


def run(args: argparse.Namespace) -> int:
    from raytune_planes.report import compare, page
    from raytune_planes.tracking.files import PLOTS

    one, other = _side(args.out, args.one), _side(args.out, args.other)
    print(compare.as_text(one, other))
    name = f"{one.label}-{other.label}".replace(":", "_")
    print(f"\ncurves: {page.write(compare.as_report(one, other), args.to or args.out / PLOTS / name)[0]}")
    return 0


def _side(out: Path, text: str) -> Side:
    from raytune_planes.report.compare import side
    from raytune_planes.tracking import files, reading

    name, colon, number = text.partition(":")
    if colon and not number.isdecimal():
        raise UserError(f"'{text}' names no trial; write STUDY:NUMBER, or STUDY for its best trial")
    return side(reading.read_study(files.find_study(out, name)), int(number) if colon else None)
