"""Write a study, or a log in the published format, as figures and one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from raytune_planes.commands.arguments import add_out

PLOTS = "plots"
"""Folder of the reports, beside the studies."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "study", nargs="?", metavar="STUDY|LOG.json", help="a study's name (default: the latest), or a log file"
    )
    add_out(parser)
    parser.add_argument("--to", type=Path, metavar="DIR", help="folder of the report (default: OUT/plots/STUDY)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the study's pictures, where they have moved")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="of the decoded pictures, where it has moved")
    parser.add_argument("--no-pictures", action="store_true", help="leave out what needs the model and the data")


def run(args: argparse.Namespace) -> int:
    paths = write_log(args) if args.study and args.study.endswith(".json") else write_study(args)
    figures = sum(path.suffix == ".png" for path in paths)
    print(f"{figures} figures, as PNG and SVG, and {paths[1].name} in {paths[0].parent}\nlook at: {paths[0]}")
    return 0


def write_log(args: argparse.Namespace) -> tuple[Path, ...]:
    """Of a log file. Raises UserError: it cannot be read, or the report cannot be written."""
    from raytune_planes.report import build, log, page

    found = log.read_log(Path(args.study))
    return page.write(build.log_report(found), args.to or args.out / PLOTS / found.title)


def write_study(args: argparse.Namespace) -> tuple[Path, ...]:
    """Of a study in whatever state. Raises UserError: there is none, or the report cannot be written."""
    from raytune_planes.report import build, page
    from raytune_planes.report.figure import Figure, Missing
    from raytune_planes.report.summary import summarise
    from raytune_planes.tracking import files, reading
    from raytune_planes.tuning.importance import importance

    study = reading.read_study(files.find_study(args.out, args.study))
    summary = summarise(study)
    shown: list[Figure] | Missing = Missing("no trial is complete")
    if args.no_pictures:
        shown = Missing("left out by --no-pictures")
    elif summary is not None:
        from raytune_planes.commands.report_pictures import pictures

        shown = pictures(study, summary.best, args.data, args.cache)
    report = build.study_report(study, importance(study), shown)
    return page.write(report, args.to or args.out / PLOTS / study.start.name)
