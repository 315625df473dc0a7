"""Send to MLflow what it has missed of a study."""

from __future__ import annotations

import argparse

from raytune_planes.commands.arguments import add_out


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", nargs="?", metavar="STUDY", help="its name (default: the latest)")
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow store (default: sqlite:///OUT/mlflow.db)")
    add_out(parser)


def run(args: argparse.Namespace) -> None:
    from raytune_planes.tracking.files import find_study
    from raytune_planes.tracking.mlflow import sync

    changed = sync(find_study(args.out, args.study), args.tracking_uri)
    print(f"Sent to MLflow: {', '.join(changed)}" if changed else "MLflow has all of it already")
