"""Check a search space and show what it varies."""

from __future__ import annotations

import argparse

from raytune_planes.commands.arguments import add_set


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("space", metavar="SPACE", help="name of a packaged space, or the path of a YAML file")
    add_set(parser)


def run(args: argparse.Namespace) -> None:
    from raytune_planes.settings import parse_assignments
    from raytune_planes.space import check, describe, load_space, with_fixed

    space = with_fixed(load_space(args.space), parse_assignments(args.set))
    check(space)
    print(describe(space))
