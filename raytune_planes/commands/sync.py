"""Send to MLflow what it has missed of a study."""

from __future__ import annotations

import argparse

from raytune_planes.commands.arguments import add_mlflow, add_out


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", nargs="?", metavar="STUDY", help="its name (default: the latest)")
    add_mlflow(parser)
    add_out(parser)


def run(args: argparse.Namespace) -> None:
    from raytune_planes.tracking.files import find_study
    from raytune_planes.tracking.mlflow import sync
    from raytune_planes.tracking.mlflow_place import MlflowPlace

    if message := MlflowPlace.of(args.out, args.tracking_uri, args.experiment).in_words():
        print(message)
    changed = sync(find_study(args.out, args.study), args.tracking_uri, experiment=args.experiment)
    print(f"Sent to MLflow: {', '.join(changed)}" if changed else "MLflow has all of it already")
