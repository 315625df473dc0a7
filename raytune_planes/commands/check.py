"""Check a search space and show what it varies."""

from __future__ import annotations

import argparse

from raytune_planes.commands.arguments import add_set, assigned

EXAMPLES = ("check quick", "check mine.yaml --set budget.epochs=5")
TAKES_SPACE = True
"""Its help lists the packaged spaces."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("space", metavar="SPACE", help="name of a packaged space, or the path of a YAML file")
    add_set(parser)


def run(args: argparse.Namespace) -> None:
    from raytune_planes.space import cautioned, check, describe, load_space, with_fixed

    space = load_space(args.space)
    space = with_fixed(space, assigned(args, space.fixed))
    check(space)
    print(describe(space))
    for caution in cautioned(space):
        print(f"Warning: {caution}")
