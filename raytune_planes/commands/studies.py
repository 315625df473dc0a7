"""List the studies of a results folder with their state and gain, or export them for others to learn from."""

from __future__ import annotations

import argparse

from raytune_planes.commands.arguments import add_out, place

EXAMPLES = ("studies", "studies --sort gain", "studies --tag paper --json", "studies --tag paper --export planes.json")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sort", choices=("time", "gain"), default="time", help="the latest first (default), or the largest gain first"
    )
    parser.add_argument("--tag", default="", metavar="WORD", help="only studies with this tag (see: note)")
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.add_argument(
        "--export",
        type=place,
        metavar="FILE",
        help="write settings and figures of the finished studies to a file that tune --learn-from reads elsewhere, "
        "without names, paths, notes and pictures",
    )
    add_out(parser)


def run(args: argparse.Namespace) -> None:
    import json
    import shlex

    from raytune_planes.commands.stored import seen
    from raytune_planes.invocation import command, in_folder, shown
    from raytune_planes.report.studies import as_lines, overviews

    studies = overviews(args.out, args.sort, args.tag)
    if args.export:
        _export(args, [study.name for study in studies])
    elif args.json:
        print(json.dumps([study.as_json() for study in studies], indent=1))
    elif studies:
        print("\n".join(as_lines(studies)))
        print(f"\nThe best of one study: {command(f'best STUDY{in_folder(args.out)}')}")
    else:
        print(f"no study in {shown(args.out)}; start one with: {command(f'tune{in_folder(args.out)}')}")
        for place in seen(args.out):
            print(f"This machine knows studies in {place}: {command(f'studies --out {shlex.quote(place)}')}")


def _export(args: argparse.Namespace, names: list[str]) -> None:
    from importlib.metadata import version

    from raytune_planes.errors import UserError
    from raytune_planes.invocation import command, quoted, shown
    from raytune_planes.learning import earlier_studies
    from raytune_planes.learning.collection import write
    from raytune_planes.printing import counted

    found = earlier_studies(args.out, [str(args.out / name) for name in names]) if names else None
    for warning in found.warnings if found else ():
        print(f"Warning: {warning}")
    if not found or not found.studies:
        raise UserError(f"--export {args.export}: no study in {shown(args.out)} has ended; nothing is written")
    trials = write(args.export, found.studies, version("raytune-planes"))
    print(f"{args.export} holds {counted(trials, 'trial')} of {counted(len(found.studies), 'study', 'studies')}")
    print(f"Learn from it with: {command(f'tune --learn-from {quoted(args.export)}')}")
