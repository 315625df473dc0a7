"""Send to MLflow what it has missed of a study."""

from __future__ import annotations

import argparse

from raytune_planes.commands.arguments import add_mlflow, add_out

EXAMPLES = ("sync STUDY", "sync STUDY --promote")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", nargs="?", metavar="STUDY", help="its name (default: the latest)")
    parser.add_argument(
        "--promote",
        action="store_true",
        help="make its model the champion, also where that cannot be compared with the present one, or is worse",
    )
    add_mlflow(parser)
    add_out(parser)


def run(args: argparse.Namespace) -> None:
    from raytune_planes.commands.study_arguments import mlflow_kept
    from raytune_planes.tracking.files import find_study
    from raytune_planes.tracking.mlflow import sync
    from raytune_planes.tracking.mlflow_place import MlflowPlace

    folder = find_study(args.out, args.study)
    place = MlflowPlace.of(args.out, args.tracking_uri, args.experiment, kept=mlflow_kept(folder))
    if message := place.in_words():
        print(message)
    changed = sync(folder, place.uri, experiment=place.experiment)
    print(f"Sent to MLflow: {', '.join(changed)}" if changed else "MLflow has all of it already")
    if args.promote:
        from raytune_planes.commands.champion import register

        print(f"Model: {register(folder, place.uri, place.experiment, promote=True)}")
