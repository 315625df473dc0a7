"""Open the MLflow UI on the results."""

from __future__ import annotations

import argparse

from raytune_planes.commands.arguments import add_mlflow, add_out, at_least

EXAMPLES = ("ui", "ui --port 5001")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=at_least(1), default=5000, metavar="N", help="on loopback (default: 5000)")
    add_mlflow(parser)
    parser.add_argument(
        "--login",
        action="store_true",
        help="on a host with other users, who reach loopback too: ask for the user and password in "
        "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    )
    add_out(parser)


def run(args: argparse.Namespace) -> int:
    from raytune_planes.tracking.mlflow import serve_ui

    return serve_ui(args.out, int(args.port), args.tracking_uri, login=args.login, experiment=args.experiment)
