"""List the studies of a results folder with their state and gain."""

from __future__ import annotations

import argparse

from raytune_planes.commands.arguments import add_out

EXAMPLES = ("studies", "studies --sort gain", "studies --tag paper --json")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sort", choices=("time", "gain"), default="time", help="the latest first (default), or the largest gain first"
    )
    parser.add_argument("--tag", default="", metavar="WORD", help="only studies with this tag (see: note)")
    parser.add_argument("--json", action="store_true", help="machine-readable")
    add_out(parser)


def run(args: argparse.Namespace) -> None:
    import json

    from raytune_planes.invocation import command, in_folder
    from raytune_planes.report.studies import as_lines, overviews

    studies = overviews(args.out, args.sort, args.tag)
    if args.json:
        print(json.dumps([study.as_json() for study in studies], indent=1))
    elif studies:
        print("\n".join(as_lines(studies)))
        print(f"\nThe best of one study: {command(f'best STUDY{in_folder(args.out)}')}")
    else:
        print(f"no study in {args.out}; start one with: {command('tune')}")
