"""List the search spaces, packaged and your own, with the question that each asks."""

from __future__ import annotations

import argparse
from pathlib import Path

from raytune_planes.commands.arguments import place

EXAMPLES = ("spaces", "spaces my_spaces --json")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        nargs="?",
        type=place,
        default=Path(),
        metavar="DIR",
        help="folder of your own YAML files (default: .)",
    )
    parser.add_argument("--json", action="store_true", help="machine-readable")


def run(args: argparse.Namespace) -> None:
    import json
    from dataclasses import asdict

    from raytune_planes.invocation import command
    from raytune_planes.printing import counted
    from raytune_planes.space.listing import listing

    spaces = listing(args.folder)
    if args.json:
        print(json.dumps([asdict(space) for space in spaces], indent=1))
        return
    for space in spaces:
        size = f"{counted(space.dimensions, 'dimension')}, {counted(space.trials, 'trial')}"
        print(f"{space.name}  ({size})" if not space.fault else f"{space.name}  (cannot be used)")
        print(f"    {space.fault or space.about or 'no question is given (about: ...)'}")
    print(f"\nOne in detail: {command('check SPACE')}\nSearch it:     {command('tune SPACE')}")
