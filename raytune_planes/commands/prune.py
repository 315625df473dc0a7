"""Remove what a study no longer needs: weights of trials that are not among the best, states of ended trainings."""

from __future__ import annotations

import argparse

from raytune_planes.commands.arguments import add_mlflow, add_out, at_least

EXAMPLES = ("prune STUDY --dry-run", "prune STUDY --keep 1")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", nargs="?", metavar="STUDY", help="its name (default: the latest)")
    parser.add_argument(
        "--keep",
        type=at_least(1),
        metavar="K",
        help="keep the weights of the K best trials (default: as many as the study keeps), of the defaults, of the "
        "Pareto front and of trials that can continue",
    )
    parser.add_argument("--dry-run", action="store_true", help="remove nothing: tell what would be removed")
    parser.add_argument("--json", action="store_true", help="machine-readable")
    add_mlflow(parser)
    add_out(parser)


def run(args: argparse.Namespace) -> int:
    from raytune_planes.commands import prune_run

    return prune_run.run(args)
