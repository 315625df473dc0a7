"""Make one model of a study's trials, and judge it once on test beside the best single trial."""

from __future__ import annotations

import argparse

from raytune_planes.commands.arguments import add_moved, add_out, at_least, place

METHODS = ("soft", "greedy", "bayesian", "genetic", "forest")

EXAMPLES = ("ensemble STUDY",)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", nargs="?", metavar="STUDY", help="its name (default: the latest)")
    parser.add_argument(
        "--members", type=at_least(2), default=8, metavar="K", help="the K best trials take part (default: 8)"
    )
    parser.add_argument(
        "--method", choices=METHODS, default="greedy", help="how their weights are chosen (default: greedy selection)"
    )
    parser.add_argument("--to", type=place, metavar="DIR", help="folder of the ensemble (default: STUDY/ensemble)")
    add_moved(parser)
    parser.add_argument(
        "--seed", type=at_least(0), default=0, metavar="S", help="seed of the search for weights (default: 0)"
    )
    add_out(parser)


def run(args: argparse.Namespace) -> int:
    from raytune_planes.commands import ensemble_run

    return ensemble_run.run(args)
